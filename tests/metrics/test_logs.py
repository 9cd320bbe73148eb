"""Records have constant messages and their data in attributes, as docs/monitoring.md lists them."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

import django_moloco_rmp
from django_moloco_rmp import track
from django_moloco_rmp.buffer import Buffer
from django_moloco_rmp.outbox import Entry, Outbox
from tests.http_server import Answer, ScriptedServer
from tests.metrics import guide
from tests.outbox.relays import relay_to
from tests.outbox.samples import event, record, without_table

if not guide.GUIDE.exists():
    pytest.skip("the guide is not part of what is tested here", allow_module_level=True)

PACKAGE = Path(django_moloco_rmp.__file__).parent
LEVELS = {"warning": "WARNING", "error": "ERROR", "exception": "ERROR, with traceback"}
STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message"}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Of each message, as far as it is told: level and attributes."""
    return {
        guide.codes(row[0])[0]: (row[1], set(guide.codes(row[2])))
        for row in guide.rows("Log records")
    }


def attributes(record: logging.LogRecord) -> set[str]:
    return set(record.__dict__) - STANDARD


def calls() -> Iterator[ast.Call]:
    """All calls of the package's logger."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "logger"
            ):
                yield node


def test_each_message_is_constant_and_documented() -> None:
    told = documented()
    found = set()
    for call in calls():
        assert isinstance(call.func, ast.Attribute)
        method = call.func.attr
        message = ast.literal_eval(call.args[1 if method == "log" else 0])
        name = next(each for each in told if message.startswith(each))
        found.add(name)
        level, names = told[name]
        if method != "log":
            assert level.startswith(LEVELS[method])
        given = {each.arg: each.value for each in call.keywords}
        assert ("extra" in given) is bool(names)
        extra = given.get("extra")
        if isinstance(extra, ast.Dict) and None not in extra.keys:
            keys = {ast.literal_eval(key) for key in extra.keys if key is not None}
            # The same message has an id where there is one.
            assert names - {"event_id"} <= keys <= names
    assert found == set(told)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("answer", "message", "told"),
    [
        (
            Answer(503),
            "Event not delivered, next try in %g s: %s",
            {
                "event_id": "cart-1",
                "event_type": "ADD_TO_CART",
                "destination": "default",
                "status": 503,
            },
        ),
        (
            Answer(raw=[]),
            "Event not delivered, next try in %g s: %s",
            {
                "event_id": "cart-1",
                "event_type": "ADD_TO_CART",
                "destination": "default",
                "status": None,
            },
        ),
        (
            Answer(401),
            "Event not delivered, and kept: %s",
            {
                "event_id": "cart-1",
                "event_type": "ADD_TO_CART",
                "destination": "default",
                "status": 401,
            },
        ),
        (
            Answer(400),
            "Event rejected, and kept: %s",
            {
                "event_id": "cart-1",
                "event_type": "ADD_TO_CART",
                "destination": "default",
                "status": 400,
            },
        ),
        (
            Answer(401),
            "Circuit %s, was %s: destination %s, %s",
            {
                "destination": "default",
                "state": "open",
                "previous": "closed",
                "reason": "configuration",
            },
        ),
    ],
)
def test_what_became_of_an_event_is_told_in_attributes(
    caplog: pytest.LogCaptureFixture, answer: Answer, message: str, told: dict[str, Any]
) -> None:
    record("cart-1")
    with ScriptedServer(answer) as server, relay_to(server.url) as relay:
        relay.run(max_events=1)
    (logged,) = [each for each in caplog.records if each.msg == message]
    assert attributes(logged) == documented()[message][1]
    assert {name: getattr(logged, name) for name in told} == told
    if "wait" in attributes(logged):
        assert 5 <= logged.__dict__["wait"] <= 6


@pytest.mark.parametrize(
    ("arguments", "message", "reason"),
    [
        ({"items": ()}, "Event dropped (%s, %s): %s", "invalid"),
        ({"items": object}, "Event dropped (%s, %s): %s", "invalid"),
        ({"using": 5}, "Event dropped (%s, %s): %s", "invalid"),
    ],
)
def test_a_drop_is_told_in_attributes(
    caplog: pytest.LogCaptureFixture, arguments: dict[str, Any], message: str, reason: str
) -> None:
    raw = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
    with override_settings(MOLOCO_RMP=raw):
        track("PURCHASE", **{"shopper": {"user_id": "a shopper whom nobody may know"}, **arguments})
    (logged,) = caplog.records
    assert (logged.msg, attributes(logged)) == (message, documented()[message][1])
    assert (logged.__dict__["event_type"], logged.__dict__["reason"]) == ("PURCHASE", reason)
    assert "a shopper whom nobody may know" not in repr(logged.__dict__)


@pytest.mark.django_db(transaction=True)
def test_a_full_buffer_is_told_in_attributes(caplog: pytest.LogCaptureFixture) -> None:
    buffer = Buffer(most=1)
    for number in range(3):
        home = event(f"home-{number}", event_type="HOME", items=())
        buffer.put(Entry.of(home), "default")
    buffer.drain()
    full, dropped = caplog.records
    assert attributes(full) == {"reason"}
    assert attributes(dropped) == documented()[dropped.msg][1]
    assert (dropped.__dict__["count"], dropped.__dict__["reason"]) == (2, "overflow")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_is_told_in_attributes(caplog: pytest.LogCaptureFixture) -> None:
    with without_table(), relay_to("http://127.0.0.1:1", outbox=Outbox("default")) as relay:
        relay.step()
    relay.close()
    (logged,) = caplog.records
    assert attributes(logged) == documented()[logged.msg][1]
    assert logged.__dict__["database"] == "default"
