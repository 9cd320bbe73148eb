"""The operator's commands where events go to several destinations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.sandbox import SandboxServer
from tests.commands.run import Ran, rows, run
from tests.outbox.samples import DAY, event, record, record_many

pytestmark = pytest.mark.django_db(transaction=True)

State = OutboxEvent.State


@pytest.fixture(autouse=True)
def several(settings: Any) -> Callable[..., None]:
    """``de`` and ``fr``, with their servers."""

    def set_up(**urls: str) -> None:
        entries = {
            name: {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "BASE_URL": url}
            for name, url in urls.items()
        }
        settings.MOLOCO_RMP = {"DESTINATIONS": entries}

    set_up(de="http://127.0.0.1:9", fr="http://127.0.0.1:9")
    return set_up


def states() -> dict[str, str]:
    return {name: Gate("default", name).look().circuit.state.value for name in ("de", "fr")}


def rejected(*event_ids: str, to: str) -> None:
    record(*event_ids, to=to)
    OutboxEvent.objects.filter(event_id__in=event_ids, destination=to).update(
        state=State.REJECTED, finished_at=DatabaseNow(), last_status=400, last_error="no"
    )


@pytest.mark.parametrize(
    "command", ["status", "pause", "resume", "export", "relay", "ping", "resend"]
)
def test_a_name_that_is_none_is_refused(command: str) -> None:
    arguments = ["--all"] if command == "resend" else []
    ran = run(f"moloco_{command}", "--destination", "it", *arguments)
    assert ran.status == 1
    assert ran.err == "--destination: there is no 'it'. Known: de, fr.\n"


def test_the_status_of_all() -> None:
    record("a", to="de")
    record("b", "c", to="fr")
    text = run("moloco_status").out
    de, fr = text.split("Outbox of database 'default' for destination 'fr'\n")
    assert de.startswith("Outbox of database 'default' for destination 'de'\n")
    assert rows(de)["pending"] == "1 (ADD_TO_CART 1)"
    assert rows(fr)["pending"] == "2 (ADD_TO_CART 2)"
    found = run("moloco_status", "--json").json
    assert found.keys() == {"database", "destinations", "settings_at_fault"}
    numbers = {name: each["pending"]["number"] for name, each in found["destinations"].items()}
    assert numbers == {"de": 1, "fr": 2}


def test_the_status_of_one() -> None:
    record("a", to="de")
    record("b", "c", to="fr")
    ran = run("moloco_status", "--destination", "fr")
    assert ran.out.startswith("Outbox of database 'default' for destination 'fr'\n")
    assert ran.out.count("Outbox of") == 1
    found = run("moloco_status", "--destination", "fr", "--json").json
    assert (found["pending"]["number"], found["in_settings"]) == (2, True)
    assert "destinations" not in found


def test_the_alarm_tells_which_events_wait() -> None:
    record_many(1, destination="fr", created_at=DatabaseNow() - DAY)
    record("a", to="de")
    ran = run("moloco_status", "--fail-if-older", "900")
    assert ran.status == 1
    assert ran.err.startswith("An event for destination 'fr' has waited for 1 d, longer than 900 s")
    assert "'de'" not in ran.err
    assert run("moloco_status", "--fail-if-older", "900", "--destination", "de").status == 0


def test_one_that_is_in_the_settings_no_more_is_not_forgotten() -> None:
    record_many(1, destination="old", created_at=DatabaseNow() - DAY)
    text = run("moloco_status").out.split("destination 'old'\n")[1]
    assert rows(text)["settings"] == "it is in DESTINATIONS no more, so its events wait"
    assert rows(text)["pending"] == "1 (ADD_TO_CART 1)"
    found = run("moloco_status", "--json").json["destinations"]
    assert {name: each["in_settings"] for name, each in found.items()} == {
        "de": True,
        "fr": True,
        "old": False,
    }
    ran = run("moloco_status", "--fail-if-older", "900")
    assert "Destination: it is in DESTINATIONS no more, so its events wait." in ran.err


def test_pause_and_resume_all_or_one() -> None:
    out = run("moloco_pause", "--destination", "de").out
    assert out.startswith("de: Paused: no relay calls")
    assert out.endswith("Go on with: manage.py moloco_resume --destination de\n")
    assert states() == {"de": "paused", "fr": "closed"}
    out = run("moloco_pause").out.splitlines()
    assert out[0] == "de: It was paused already."
    assert out[1].startswith("fr: Paused")
    assert states() == {"de": "paused", "fr": "paused"}
    assert run("moloco_resume", "--destination", "fr").out == "fr: Resumed: events are sent.\n"
    assert states() == {"de": "paused", "fr": "closed"}
    assert run("moloco_resume").out.splitlines() == [
        "de: Resumed: events are sent.",
        "fr: It was not paused; all is well.",
    ]


def test_resend_to_all_or_one() -> None:
    rejected("a", "b", to="de")
    rejected("a", to="fr")
    run("moloco_pause", "--destination", "fr")
    ran = run("moloco_resend", "--all", "--destination", "de", "--dry-run")
    assert ran.out == "2 events would be sent again.\n"
    ran = run("moloco_resend", "--event-id", "a")
    assert ran.out.startswith("2 events made pending again.\nThe circuit of fr is paused, so they")
    assert "circuit of de" not in ran.out
    kept = OutboxEvent.objects.filter(state=State.REJECTED).values_list("event_id", "destination")
    assert list(kept) == [("b", "de")]
    # Which destination is no answer to which events.
    assert run("moloco_resend", "--destination", "de").status == 1


def test_export_of_all_or_one() -> None:
    record("a", to="de")
    rejected("b", to="fr")

    def exported(*arguments: str) -> list[tuple[str, str]]:
        found = map(json.loads, run("moloco_export", *arguments).out.splitlines())
        return [(each["event_id"], each["destination"]) for each in found]

    assert exported() == [("a", "de"), ("b", "fr")]
    assert exported("--destination", "fr") == [("b", "fr")]


@pytest.mark.parametrize(("arguments", "left"), [((), []), (("--destination", "fr"), ["de"])])
def test_a_relay_for_all_or_one(
    several: Callable[..., None],
    sandbox: SandboxServer,
    arguments: tuple[str, ...],
    left: list[str],
) -> None:
    several(de=sandbox.url, fr=sandbox.url)
    record("a", to="de")
    record("b", "c", to="fr")
    out = run("moloco_relay", "--until-empty", *arguments).out
    assert out.startswith(f"delivered {3 - len(left)}, ")
    assert out.endswith("; 0 pending\n")
    assert list(OutboxEvent.objects.values_list("destination", flat=True)) == left


def ping(*arguments: str) -> Ran:
    ran = run("moloco_ping", *arguments)
    assert "test-key" not in ran.out + ran.err
    return ran


def test_ping_tries_each(several: Callable[..., None], sandbox: SandboxServer) -> None:
    several(de=sandbox.url, fr=sandbox.url)
    ran = ping()
    assert ran.status == 0
    heads = [line for line in ran.out.splitlines() if line.startswith(("Destination", "OK: "))]
    fine = "OK: Moloco was reached, and takes the key for this platform."
    assert heads == ["Destination 'de'", fine, "Destination 'fr'", fine]
    several(de=sandbox.url, fr="http://127.0.0.1:9")
    ran = ping("--json")
    assert ran.status == 1
    found = ran.json["destinations"]
    assert {name: each["is_fine"] for name, each in found.items()} == {"de": True, "fr": False}
    assert ping("--destination", "de").status == 0
    assert ping("--destination", "fr", "--json").json["is_fine"] is False
    assert not connections["default"].in_atomic_block


def test_forget_clears_all(several: Callable[..., None]) -> None:
    user = "a" * 64

    def throttle(held: Any) -> None:
        held.pace, _ = held.pace.throttle(held.now, held.now, user[:32], None, 0.0, None)

    for name in ("de", "fr"):
        assert Outbox("default", name).record(event("home-1", user_id=user), keeps_id=False)
        Gate("default", name).change(throttle)
    out = run("moloco_forget", user).out
    assert out.startswith("2 events removed")
    Gate("default", "gone").change(throttle)
    run("moloco_forget", user)
    for name in ("de", "fr", "gone"):
        assert not Gate("default", name).look().pace.throttled
