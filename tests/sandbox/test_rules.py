from __future__ import annotations

import json
import time
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.sandbox.rules import judge
from tests.contract_schema import problems
from tests.contract_vectors import contract_cases
from tests.sandbox.vectors import NOW, OWN, own_body, own_cases

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=10,
)
NAMES = (
    *("event_type", "channel_type", "timestamp", "personalization_mode", "domain"),
    *("id", "user_id", "custom_id", "session_id", "decision_track_id", "search_query"),
    *("page_id", "referrer_page_id", "items", "revenue", "shipping_charge", "device"),
    *("persistent_id", "unique_device_id", "advertising_id", "os", "os_version", "model"),
    *("ua", "language", "ip", "item_group_id", "seller_id", "price", "price_seller"),
    *("quantity", "currency", "amount"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 1.5, 2.0, 2**31, "", " ", "x", "7", "null", "y" * 128, "y" * 129),
    *([], {}, [{}], [None], "EUR", "UNKNOWN_CURRENCY", "APP", "iOS", "PURCHASE", "SEARCH"),
    *("1759999990001", 1759999990001, "de", "192.0.2.1", "ID_LESS"),
)


@st.composite
def damaged_bodies(draw: st.DrawFn) -> Any:
    """A valid body in which up to three fields, at any depth, are replaced or added."""
    body = own_body({"body": draw(st.sampled_from(sorted(OWN["bodies"])))})
    for _ in range(draw(st.integers(0, 3))):
        places: list[Any] = [body]
        for name in ("device", "revenue", "items"):
            found = body.get(name)
            items = found if isinstance(found, list) else [found]
            places += (item for item in items if isinstance(item, dict))
        value = deepcopy(draw(st.sampled_from(VALUES)))
        draw(st.sampled_from(places))[draw(st.sampled_from(NAMES))] = value
    return body


def verdict(body: Any, strict: bool) -> tuple[int, str]:
    found = judge(json.dumps(body).encode(), NOW, strict)
    return found.status, found.message


@pytest.mark.parametrize("case", own_cases())
def test_own_vector(case: dict[str, Any]) -> None:
    found = judge(json.dumps(own_body(case)).encode(), NOW)
    expected = (400, case["refused"]) if "refused" in case else (200, "")
    assert (found.status, found.message) == expected


@pytest.mark.parametrize("case", own_cases())
def test_own_vector_under_strict_rules(case: dict[str, Any]) -> None:
    message = case.get("refused") or case.get("strict")
    assert verdict(own_body(case), strict=True) == ((400, message) if message else (200, ""))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("case", contract_cases())
def test_vector_of_the_contract(case: dict[str, Any], strict: bool) -> None:
    found = judge(json.dumps(case["body"]).encode(), time.time_ns() // 1_000_000, strict)
    only_strict = case.get("strict", False) and not strict
    assert found.status == (200 if only_strict else case["status"])
    if not only_strict and "message" in case:
        assert found.message == case["message"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the body is not JSON: Expecting value"),
        (b"\xff", "the body is not JSON: 'utf-8' codec can't decode"),
        (b'{"a": NaN}', "the body is not JSON: NaN is no JSON number"),
        (b'{"a": Infinity}', "the body is not JSON: Infinity is no JSON number"),
        (b'{"a": 1e400}', "the body is not JSON: 1e400 is out of range"),
        (b'{"a": [-1.5E999]}', "the body is not JSON: -1.5E999 is out of range"),
        (b'{"a": ' + b"9" * 400 + b".0}", "the body is not JSON: 99999999999999999... is out"),
        (b"[" * 1_000_000, "the body is not JSON: nested too deeply"),
        (b"1" * 5000, "the body is not JSON: Exceeds the limit"),
        (b"[]", "the body must be one JSON object"),
        (b"null", "the body must be one JSON object"),
    ],
)
def test_what_is_no_event(content: bytes, message: str) -> None:
    found = judge(content, NOW)
    assert found.status == 400
    assert found.message.startswith(message)


def test_a_whole_amount_that_no_double_holds() -> None:
    body = own_body({"body": "order"})
    body["revenue"]["amount"] = 10**400
    found = judge(json.dumps(body).encode(), NOW)
    assert found.message == "revenue: missing amount, or not a number"


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_any_bytes_get_an_answer(content: bytes, strict: bool) -> None:
    assert judge(content, NOW, strict).status in (200, 400)


@given(damaged_bodies(), st.booleans())
def test_any_damage_gets_an_answer(body: Any, strict: bool) -> None:
    status, message = verdict(body, strict)
    assert status == (400 if message else 200)


@given(damaged_bodies())
def test_strict_rules_only_add_refusals(body: Any) -> None:
    lenient = verdict(body, strict=False)
    if lenient[0] == 400:
        assert verdict(body, strict=True) == lenient


@given(damaged_bodies())
def test_strict_rules_are_those_of_the_schema(body: Any) -> None:
    # What we always send, but no server is said to insist on.
    if not isinstance(body.get("id"), str) or not body["id"].strip():
        body["id"] = "v-any"
    # An empty one is no identifier; that it is an error, the schema says for clients only.
    if isinstance(body.get("device"), dict) and body["device"].get("advertising_id") == "":
        del body["device"]["advertising_id"]
    assert (verdict(body, strict=True)[0] == 200) == (not problems(body))
