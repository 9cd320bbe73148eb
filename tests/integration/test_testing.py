"""capture_events(), for the shop's own tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.test import TestCase

import django_moloco_rmp
from django_moloco_rmp import track
from django_moloco_rmp.testing import SandboxServer, capture_events

ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}


class InAShopsTestCase(TestCase):
    """Where nothing is ever committed."""

    def test_events_are_seen_when_they_happen(self) -> None:
        with capture_events() as events:
            track("HOME", shopper=ADA)
            track("PAGE_VIEW", shopper=ADA)
        track("LAND", shopper=ADA)
        assert [event.event_type for event in events] == ["HOME", "PAGE_VIEW"]

    def test_blocks_may_be_nested(self) -> None:
        with capture_events() as outer:
            track("HOME", shopper=ADA)
            with capture_events() as inner:
                track("LAND", shopper=ADA)
        assert [len(outer), len(inner)] == [2, 1]


@pytest.mark.django_db
def test_an_error_inside_ends_the_capture() -> None:
    with pytest.raises(ZeroDivisionError), capture_events() as events:
        1 / 0  # noqa: B018
    track("HOME", shopper=ADA)
    assert events == []


def test_the_sandbox_is_at_hand() -> None:
    with SandboxServer() as sandbox:
        assert sandbox.events() == []


@pytest.mark.slow
def test_the_package_is_imported_before_there_are_settings() -> None:
    folder = Path(django_moloco_rmp.__file__).parents[1]
    program = "import sys; from django_moloco_rmp import *; assert 'requests' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
