from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

#: What the three kinds of staff may do; ``nobody`` is staff without any of our permissions.
ROLES = {
    "nobody": (),
    "viewer": ("view_outboxevent", "view_gate", "view_hourlycount"),
    "operator": (
        *("view_outboxevent", "view_gate", "view_hourlycount", "view_event_body"),
        *("resend_event", "correct_event", "discard_event", "operate_circuit"),
    ),
}


@pytest.fixture
def sign_in(db: None) -> Callable[..., Client]:
    """Sign in somebody of a role, or with permissions by name; anonymous for ``None``."""

    def signed_in(role: str | None, *permissions: str, **options: Any) -> Client:
        client = Client(**options)
        if role is None:
            return client
        user = User.objects.create_user(f"{role}-{len(permissions)}", is_staff=True)
        names = (*ROLES[role], *permissions)
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="moloco_rmp", codename__in=names)
        )
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def viewer(sign_in: Callable[..., Client]) -> Client:
    return sign_in("viewer")


@pytest.fixture
def operator(sign_in: Callable[..., Client]) -> Client:
    return sign_in("operator")
