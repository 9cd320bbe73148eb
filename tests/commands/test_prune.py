"""``moloco_prune``."""

from __future__ import annotations

from typing import Any

import pytest

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from tests.commands.conftest import Reject
from tests.commands.run import run
from tests.outbox.samples import DAY, record, record_many

State = OutboxEvent.State
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def kept(reject: Reject) -> None:
    for days in (1, 10, 40):
        finished = DatabaseNow() - days * DAY
        reject(f"refused {days}", finished_at=finished)
        reject(f"delivered {days}", state=State.SENT, finished_at=finished)
    record("waiting")
    OutboxEvent.objects.filter(event_id="waiting").update(created_at=DatabaseNow() - 99 * DAY)


def left() -> set[str]:
    return set(OutboxEvent.objects.values_list("event_id", flat=True))


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        ([], {"refused 40", "delivered 40"}),
        (["--rejected-days", "5"], {"refused 40", "refused 10", "delivered 40"}),
        (["--dedupe-days", "5"], {"refused 40", "delivered 10", "delivered 40"}),
        (
            ["--dedupe-days", "0", "--rejected-days", "0"],
            {f"{name} {days}" for name in ("refused", "delivered") for days in (1, 10, 40)},
        ),
        (["--dedupe-days", "999999999", "--rejected-days", "60"], set()),
    ],
)
def test_what_has_been_kept_long_enough_goes(arguments: list[str], gone: set[str]) -> None:
    before = left()
    counted = run("moloco_prune", *arguments, "--dry-run", "--json").json
    assert left() == before
    deleted = run("moloco_prune", *arguments, "--json").json
    assert counted == deleted | {"dry_run": True}
    assert before - left() == gone
    assert deleted["rejected"] == len([name for name in gone if name.startswith("refused")])
    assert deleted["rejected"] + deleted["delivered_ids"] == len(gone)


@pytest.mark.usefixtures("kept")
def test_the_days_of_the_settings_are_the_default(settings: Any) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, "REJECTED_DAYS": 5, "DEDUPE_DAYS": 50}
    assert run("moloco_prune").out == (
        "2 events that had been rejected deleted, 0 ids of delivered events forgotten.\n"
    )


def test_more_than_a_batch() -> None:
    record_many(1_500, state=State.REJECTED, finished_at=DatabaseNow() - 40 * DAY)
    assert run("moloco_prune", "--json").json["rejected"] == 1_500
    assert not OutboxEvent.objects.exists()


def test_settings_that_are_at_fault_matter_only_where_they_are_needed(settings: Any) -> None:
    settings.MOLOCO_RMP = {}
    ran = run("moloco_prune")
    assert ran.status == 1
    assert "MOLOCO_RMP['PLATFORM_ID'] is required" in ran.err
    assert run("moloco_prune", "--rejected-days", "1", "--dedupe-days", "1").status == 0
