from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.admin.pages import ROLES


@pytest.fixture
def sign_in(db: None) -> Callable[..., Client]:
    """Sign in somebody of a role, or with further permissions; anonymous for ``None``."""

    def signed_in(role: str | None, *permissions: str, **options: Any) -> Client:
        client = Client(**options)
        if role is None:
            return client
        user = User.objects.create_user(f"{role}-{User.objects.count()}", is_staff=True)
        names = (*ROLES[role], *permissions)
        found = Permission.objects.filter(content_type__app_label="moloco_rmp", codename__in=names)
        assert found.count() == len(names)
        user.user_permissions.set(found)
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def viewer(sign_in: Callable[..., Client]) -> Client:
    return sign_in("viewer")


@pytest.fixture
def operator(sign_in: Callable[..., Client]) -> Client:
    return sign_in("operator")
