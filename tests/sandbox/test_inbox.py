from __future__ import annotations

from typing import Any

import pytest

from django_moloco_rmp.sandbox.inbox import MAX_LIVE, Inbox
from tests.sandbox.caller import Caller


def record(inbox: Inbox, event_id: object, status: int = 200) -> None:
    inbox.record(0.0, status, "", b"{}", {"id": event_id})


def duplicates(inbox: Inbox) -> list[bool]:
    return [event["duplicate"] for event in inbox.live("", 0)["events"]]


def test_the_second_of_an_id_is_a_duplicate() -> None:
    inbox = Inbox()
    for event_id in ("a", "b", "a"):
        record(inbox, event_id)
    assert duplicates(inbox) == [False, False, True]


def test_a_retry_of_what_was_refused_is_no_duplicate() -> None:
    inbox = Inbox()
    for status in (503, 0, 200, 503):
        record(inbox, "a", status)
    assert duplicates(inbox) == [False, False, False, False]


@pytest.mark.parametrize("event_id", [None, "", 7, ["a"]])
def test_what_is_no_id_has_no_duplicates(event_id: Any) -> None:
    inbox = Inbox()
    record(inbox, event_id)
    record(inbox, event_id)
    assert duplicates(inbox) == [False, False]


def test_the_oldest_goes_when_there_are_too_many() -> None:
    inbox = Inbox(max_calls=2)
    for number in range(3):
        inbox.record(0.0, 200, "", b"%d" % number, number)
    assert [event["body"] for event in inbox.events()] == [1, 2]


def test_the_oldest_goes_when_there_is_too_much() -> None:
    inbox = Inbox(max_bytes=10)
    for content in (b"111111", b"2222", b"33", b"44444"):
        inbox.record(0.0, 200, "", content, None)
    assert [event["body"] for event in inbox.events()] == [33, 44444]


def test_what_is_gone_is_no_longer_known() -> None:
    inbox = Inbox(max_calls=2)
    for event_id in ("a", "a", "b", "c", "a"):
        record(inbox, event_id)
    assert duplicates(inbox) == [False, False]


def test_what_is_still_there_is_known() -> None:
    inbox = Inbox(max_calls=3)
    for event_id in ("a", "a", "x", "a"):
        record(inbox, event_id)
    inbox.record(0.0, 300, "", b"", {"id": "b"})
    for event_id in ("c", "a"):
        record(inbox, event_id)
    assert duplicates(inbox) == [False, False, True]


def test_what_was_refused_takes_no_knowledge_with_it() -> None:
    inbox = Inbox(max_calls=2)
    for status in (300, 200, 200):
        record(inbox, "a", status)
    record(inbox, "b")
    record(inbox, None)
    record(inbox, "b")
    assert duplicates(inbox) == [False, True]


def test_totals_count_what_is_gone() -> None:
    inbox = Inbox(max_calls=1)
    for status in (200, 200, 400):
        record(inbox, "a", status)
    totals = inbox.live("", 0)["totals"]
    assert totals == {"received": 3, "accepted": 2, "refused": 1, "duplicates": 1}


def test_a_page_gets_what_it_has_not_seen() -> None:
    inbox = Inbox()
    record(inbox, "a")
    seen = inbox.live("", 0)
    record(inbox, "b")
    news = inbox.live(seen["generation"], seen["last"])
    assert [event["number"] for event in news["events"]] == [2]


def test_a_page_that_has_seen_others_gets_all() -> None:
    inbox = Inbox()
    record(inbox, "a")
    seen = inbox.live("", 0)
    inbox.clear()
    record(inbox, "b")
    news = inbox.live(seen["generation"], seen["last"])
    assert [event["number"] for event in news["events"]] == [2]
    assert news["totals"]["received"] == 1


def test_a_page_gets_the_newest_only() -> None:
    inbox = Inbox()
    for number in range(MAX_LIVE + 2):
        record(inbox, str(number))
    numbers = [event["number"] for event in inbox.live("", 0)["events"]]
    assert numbers == list(range(3, MAX_LIVE + 3))


def test_live_over_http(caller: Caller) -> None:
    caller.post({})
    caller.sandbox.fault({"status": 503, "count": None})
    answer = caller.call("GET", "/live?after=0&generation=x").json()
    assert answer["platform_id"] == "SHOP_TEST"
    assert answer["strict"] is False
    assert answer["max_qps"] is None
    assert answer["faults"] == [{"title": "503 Service Unavailable", "count": None}]
    assert answer["events"][0]["message"] == "missing event_type"


@pytest.mark.parametrize("after", ["-1", "x", "", "1" * 19])
def test_live_after_nonsense(caller: Caller, after: str) -> None:
    response = caller.call("GET", "/live", params={"after": after})
    assert response.status_code == (200 if after == "" else 400)


def test_live_takes_no_other_method(caller: Caller) -> None:
    assert caller.call("DELETE", "/live").status_code == 405
