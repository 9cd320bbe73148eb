from __future__ import annotations

from typing import Any

import pytest
import requests

from django_moloco_rmp.sandbox.faults import FaultScript, parse_fault
from tests.sandbox.caller import Caller
from tests.sandbox.vectors import own_body


def statuses(caller: Caller) -> list[int]:
    return [event["status"] for event in caller.sandbox.events()]


# Their form


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "a fault is an object"),
        ("503", "a fault is an object"),
        ({}, "a fault needs one of status, delay and drop"),
        ({"count": 2}, "a fault needs one of status, delay and drop"),
        ({"delay": 0}, "a fault needs one of status, delay and drop"),
        ({"stat": 503}, "stat: no such key; there are status, retry_after, body"),
        ({"status": "503"}, "status: must be a whole number from 200 to 599"),
        ({"status": 199}, "status: must be a whole number from 200 to 599"),
        ({"status": 600}, "status: must be a whole number from 200 to 599"),
        ({"status": True}, "status: must be a whole number from 200 to 599"),
        ({"status": 503, "count": 0}, "count: must be a whole number from 1"),
        ({"status": 503, "count": True}, "count: must be a whole number from 1"),
        ({"status": 503, "count": 1.5}, "count: must be a whole number from 1"),
        ({"delay": -1}, "delay: must be seconds, from 0 to 3600"),
        ({"delay": 3601}, "delay: must be seconds, from 0 to 3600"),
        ({"delay": True}, "delay: must be seconds, from 0 to 3600"),
        ({"delay": "1"}, "delay: must be seconds, from 0 to 3600"),
        ({"delay": float("nan")}, "delay: must be seconds, from 0 to 3600"),
        ({"drop": "during"}, 'drop: must be "before" or "after"'),
        ({"drop": ["after"]}, 'drop: must be "before" or "after"'),
        ({"drop": "after", "status": 503}, "drop: a dropped connection has no answer"),
        ({"delay": 1, "retry_after": 3}, "retry_after and body belong to an answer"),
        ({"drop": "after", "body": "x"}, "retry_after and body belong to an answer"),
        ({"status": 503, "retry_after": "1\r\nX: y"}, "retry_after: must be seconds"),
        ({"status": 503, "retry_after": ""}, "retry_after: must be seconds"),
        ({"status": 503, "retry_after": "x" * 101}, "retry_after: must be seconds"),
        ({"status": 503, "retry_after": float("inf")}, "retry_after: must be seconds"),
        ({"status": 503, "retry_after": True}, "retry_after: must be seconds"),
        ({"status": 503, "body": [float("inf")]}, r"body: must be JSON \(Out of range float"),
        ({"status": 503, "body": {1, 2}}, r"body: must be JSON \(Object of type set"),
        ({"status": 503, "event_type": 1}, "event_type: must be a string"),
        ({"status": 503, "id": None}, "id: must be a string"),
    ],
)
def test_a_bad_fault(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^" + message):
        parse_fault(value)


@pytest.mark.parametrize(
    "value",
    [
        {"status": 503, "count": 5},
        {"status": 429, "retry_after": "2.5", "count": None},
        {"status": 200, "body": {"odd": True}, "count": 1},
        {"delay": 3, "count": 1},
        {"drop": "before", "event_type": "HOME", "id": "v-home", "count": 1},
    ],
)
def test_a_fault_is_listed_as_it_was_given(value: dict[str, Any]) -> None:
    assert parse_fault(value).as_dict() == value


@pytest.mark.parametrize(
    ("value", "title"),
    [
        ({"status": 503}, "503 Service Unavailable"),
        ({"status": 299}, "299"),
        ({"status": 503, "delay": 2}, "503 Service Unavailable, held back for 2 s"),
        ({"delay": 0.5}, "held back for 0.5 s"),
        ({"drop": "after"}, "connection dropped after accepting"),
        (
            {"drop": "before", "delay": 1},
            "held back for 1 s, connection dropped before accepting",
        ),
    ],
)
def test_a_fault_has_a_title(value: dict[str, Any], title: str) -> None:
    assert parse_fault(value).title == title


def test_none_of_a_list_is_added_when_one_is_bad() -> None:
    script = FaultScript()
    with pytest.raises(ValueError, match="count"):
        script.add([{"status": 503}, {"status": 503, "count": 0}])
    assert script.waiting() == []


def test_a_bad_fault_over_http(caller: Caller) -> None:
    response = caller.call("POST", "/faults", json={"status": 42})
    assert response.status_code == 400
    assert response.json()["message"] == "status: must be a whole number from 200 to 599"


def test_a_fault_that_is_not_json(caller: Caller) -> None:
    assert caller.call("POST", "/faults", data=b"503").status_code == 400
    assert caller.call("POST", "/faults", data=b"{").status_code == 400


def test_faults_are_listed_with_what_is_left(caller: Caller) -> None:
    caller.call("POST", "/faults", json=[{"status": 503, "count": 3}, {"drop": "after"}])
    caller.post()
    assert caller.call("GET", "/faults").json() == [
        {"status": 503, "count": 2},
        {"drop": "after", "count": 1},
    ]


def test_faults_are_deleted(caller: Caller) -> None:
    caller.sandbox.fault({"status": 503, "count": None})
    assert caller.call("DELETE", "/faults").json() == []
    assert caller.post().status_code == 200


def test_faults_take_no_other_method(caller: Caller) -> None:
    response = caller.call("PUT", "/faults", json={})
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, POST, DELETE")


def test_faults_have_to_have_a_length(caller: Caller) -> None:
    assert caller.call("POST", "/faults", data=iter([b"{}"])).status_code == 411


# What they do


def test_a_status(caller: Caller) -> None:
    caller.sandbox.fault({"status": 503, "count": 2})
    assert [caller.post().status_code for _ in range(3)] == [503, 503, 200]
    assert statuses(caller) == [503, 503, 200]


def test_a_status_comes_with_a_body_in_the_vendors_form(caller: Caller) -> None:
    caller.sandbox.fault({"status": 500})
    assert caller.post().json() == {
        "code": 13,
        "message": "scripted fault: 500 Internal Server Error",
        "details": [],
    }


def test_a_throttled_call_has_the_vendors_message(caller: Caller) -> None:
    caller.sandbox.fault({"status": 429, "retry_after": 7})
    response = caller.post()
    assert response.headers["Retry-After"] == "7"
    assert response.json()["message"] == "request denied by throttler, try again later"


def test_a_fault_until_it_is_deleted(caller: Caller) -> None:
    caller.sandbox.fault({"status": 401, "count": None})
    assert [caller.post().status_code for _ in range(5)] == [401] * 5
    caller.sandbox.clear_faults()
    assert caller.post().status_code == 200


def test_a_body_of_text(caller: Caller) -> None:
    caller.sandbox.fault({"status": 502, "body": "<h1>Bad gateway</h1>"})
    response = caller.post()
    assert response.text == "<h1>Bad gateway</h1>"
    assert response.headers["Content-Type"] == "text/plain"


def test_a_body_of_json(caller: Caller) -> None:
    caller.sandbox.fault({"status": 400, "body": {"message": ["odd"]}})
    assert caller.post().json() == {"message": ["odd"]}


def test_a_success_that_is_another_one(caller: Caller) -> None:
    caller.sandbox.fault({"status": 202})
    response = caller.post({})
    assert (response.status_code, response.json()) == (202, {})
    assert statuses(caller) == [202]


def test_a_redirect_is_no_success(caller: Caller) -> None:
    caller.sandbox.fault({"status": 300})
    assert caller.post().json()["message"] == "scripted fault: 300 Multiple Choices"
    assert caller.call("GET", "/live").json()["totals"]["accepted"] == 0


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body(caller: Caller, status: int) -> None:
    caller.sandbox.fault({"status": status})
    response = caller.post()
    assert (response.status_code, response.content) == (status, b"")
    assert caller.post().status_code == 200


def test_a_connection_dropped_before_accepting(caller: Caller) -> None:
    caller.sandbox.fault({"drop": "before"})
    with pytest.raises(requests.ConnectionError):
        caller.post()
    caller.post()
    live = caller.call("GET", "/live").json()
    assert statuses(caller) == [0, 200]
    assert [event["duplicate"] for event in live["events"]] == [False, False]
    assert live["events"][0]["message"] == "connection dropped before accepting"


def test_a_connection_dropped_after_accepting(caller: Caller) -> None:
    caller.sandbox.fault({"drop": "after"})
    with pytest.raises(requests.ConnectionError):
        caller.post()
    caller.post()
    live = caller.call("GET", "/live").json()
    assert statuses(caller) == [200, 200]
    assert [event["duplicate"] for event in live["events"]] == [False, True]
    assert live["events"][0]["message"] == "connection dropped after accepting"


def test_a_delay_holds_back_the_answer_not_the_event(caller: Caller) -> None:
    caller.sandbox.fault({"delay": 600})
    with pytest.raises(requests.ReadTimeout):
        caller.session.post(
            caller.events_url(), json=own_body({"body": "home"}), timeout=(10, 0.05)
        )
    assert statuses(caller) == [200]


def test_a_delay_ends(caller: Caller) -> None:
    caller.sandbox.fault({"delay": 0.01, "status": 504})
    response = caller.post()
    assert response.status_code == 504
    message = caller.call("GET", "/live").json()["events"][0]["message"]
    assert message == "scripted fault: 504 Gateway Timeout; held back for 0.01 s"


def test_a_refused_event_is_refused_for_all_a_delay(caller: Caller) -> None:
    caller.sandbox.fault({"delay": 0.01})
    assert caller.post({}).status_code == 400


def test_a_fault_for_one_event_type(caller: Caller) -> None:
    caller.sandbox.fault({"status": 503, "event_type": "LAND"})
    assert caller.post().status_code == 200
    assert caller.post(own_body({"body": "land"})).status_code == 503


def test_a_fault_for_one_event(caller: Caller) -> None:
    caller.sandbox.fault({"status": 500, "id": "v-land", "count": None})
    assert caller.post([]).status_code == 400
    assert caller.post(own_body({"body": "land"})).status_code == 500
    assert caller.post(own_body({"body": "land", "set": {"id": "v-land-2"}})).status_code == 200


def test_a_call_that_is_refused_anyway_meets_no_fault(caller: Caller) -> None:
    caller.sandbox.fault({"status": 503})
    assert caller.post(headers={"X-API-Key": "wrong"}).status_code == 403
    assert caller.post().status_code == 503
