from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from django_moloco_rmp.events import ChannelType, Device, Event, EventType, Item, Money
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.wire import clamp_timestamp, dumps, loads, to_wire
from tests import strategies
from tests.contract_schema import problems
from tests.contract_vectors import contract_cases
from tests.strategies import NOW

TESTS = Path(__file__).resolve().parent.parent
#: Where the contract's own schema may lie beside a checkout.
SCHEMA = TESTS.parent.parent / "shared" / "contract" / "event.schema.json"

HOME = {
    "id": "event-1",
    "event_type": "HOME",
    "timestamp": str(NOW),
    "channel_type": "SITE",
    "user_id": "shopper",
}


def purchase(amount: Decimal | int | str = "19.90") -> Event:
    return Event(
        event_type=EventType.PURCHASE,
        timestamp=NOW,
        channel_type=ChannelType.SITE,
        id="order-17",
        user_id="shopper",
        device=Device(os="Linux"),
        items=(Item("p", price=Money(amount, "EUR"), quantity=1),),
        revenue=Money(amount, "EUR"),
        now=NOW,
    )


def refusal(body: Any) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        loads(body, now=NOW)
    return caught.value


def set_path(body: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        body = body[int(name) if isinstance(body, list) else name]
    body[last] = value


def drop_path(body: Any, path: str) -> None:
    *parents, last = path.split(".")
    for name in parents:
        body = body[int(name) if isinstance(body, list) else name]
    del body[last]


def own_vectors() -> Iterator[Any]:
    document = json.loads((TESTS / "vectors.json").read_text())
    for case in document["cases"]:
        body = deepcopy(document["bodies"][case["body"]])
        for path, value in case.get("set", {}).items():
            set_path(body, path, value)
        for path in case.get("drop", ()):
            drop_path(body, path)
        yield pytest.param(
            body, case.get("refused"), case.get("clock", False), id=case["case"].replace(" ", "-")
        )


def test_body_of_a_purchase() -> None:
    assert to_wire(purchase()) == {
        "id": "order-17",
        "event_type": "PURCHASE",
        "timestamp": "1800000000000",
        "channel_type": "SITE",
        "user_id": "shopper",
        "device": {"os": "Linux"},
        "items": [{"id": "p", "price": {"currency": "EUR", "amount": 19.9}, "quantity": 1}],
        "revenue": {"currency": "EUR", "amount": 19.9},
    }


def test_what_is_absent_is_left_out() -> None:
    assert to_wire(loads(HOME, now=NOW)) == HOME


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("19.90", "19.9"),
        ("19.899999", "19.899999"),
        ("20.00", "20"),
        (Decimal("1E+3"), "1000"),
        (0, "0"),
        ("0.01", "0.01"),
        ("0.1", "0.1"),
        ("0.3", "0.3"),
        ("1234567890123.45", "1234567890123.45"),
        (2**53, "9007199254740992"),
        ("0.0000001", "1e-07"),
        ("5E-324", "5e-324"),
    ],
)
def test_amount_on_the_wire(amount: Decimal | int | str, text: str) -> None:
    assert f'"revenue":{{"currency":"EUR","amount":{text}}}' in dumps(purchase(amount))


def test_body_is_compact_ascii() -> None:
    body = dumps(loads(HOME | {"search_query": "Schuhe für 😀"}, now=NOW))
    assert body.isascii()
    assert ": " not in body


@given(strategies.events)
def test_every_body_passes_the_schema(event: Event) -> None:
    assert problems(json.loads(dumps(event))) == []


# Not a skip where there is none: the schema of these tests says the same.
if SCHEMA.exists():

    def test_every_body_passes_the_shared_schema() -> None:
        schema = json.loads(SCHEMA.read_text())
        validator = Draft202012Validator(schema)

        @given(strategies.events)
        def check(event: Event) -> None:
            validator.validate(json.loads(dumps(event)))

        check()


@given(strategies.events)
def test_round_trip(event: Event) -> None:
    assert loads(dumps(event), now=NOW) == event


@given(strategies.events)
def test_round_trip_of_bytes(event: Event) -> None:
    assert loads(dumps(event).encode(), now=NOW) == event


@given(strategies.events)
def test_round_trip_through_another_parser(event: Event) -> None:
    assert loads(json.loads(dumps(event)), now=NOW) == event


@given(strategies.events)
def test_dumping_again_gives_the_same_text(event: Event) -> None:
    assert dumps(loads(dumps(event), now=NOW)) == dumps(event)


@given(strategies.amounts)
def test_amount_survives(amount: Decimal | int | str) -> None:
    revenue = loads(dumps(purchase(amount)), now=NOW).revenue
    assert revenue is not None
    assert revenue.amount == Decimal(amount)


def test_amount_is_read_without_a_detour_over_floats() -> None:
    text = dumps(purchase("19.90")).replace("19.9", "0.1000000000000000055")
    with pytest.raises(InvalidEventError, match="exactly"):
        loads(text, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "no json",
        b"\xff\xfe",
        '{"id": NaN}',
        '{"id": Infinity}',
        "[" * 100_000,
        '{"n": ' + "9" * 5000 + "}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_text_that_is_no_json_is_refused(body: str | bytes) -> None:
    error = refusal(body)
    assert (error.field, error.rule, error.fix) == ("body", "is not JSON", "Pass a JSON object.")


@pytest.mark.parametrize("body", ["[]", "null", "1", '"text"'])
def test_json_that_is_no_object_is_refused(body: str) -> None:
    error = refusal(body)
    assert error.field == "body"
    assert error.rule.startswith("must be a JSON object")


@pytest.mark.parametrize(
    "name",
    [
        "device",
        "items",
        "revenue",
        "shipping_charge",
        "custom_id",
        "page_id",
        "personalization_mode",
    ],
)
def test_null_is_absent(name: str) -> None:
    assert loads(HOME | {name: None}, now=NOW) == loads(HOME, now=NOW)


def test_null_inside_is_absent() -> None:
    body = HOME | {
        "device": {"os": None},
        "items": [{"id": "p", "price": None, "quantity": None, "price_seller": None}],
    }
    event = loads(body, now=NOW)
    assert event.device == Device()
    assert event.items == (Item("p"),)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"user_id": 7}, "user_id"),
        ({"user_id": ["x"]}, "user_id"),
        ({"device": []}, "device"),
        ({"device": {"os": {}}}, "device.os"),
        ({"items": "p"}, "items"),
        ({"items": [None]}, "items[0]"),
        ({"items": [{"id": 7}]}, "items[0].id"),
        ({"items": [{"id": "p", "price": []}]}, "items[0].price"),
        ({"items": [{"id": "p", "quantity": True}]}, "items[0].quantity"),
        ({"items": [{"id": "p", "quantity": 1.0}]}, "items[0].quantity"),
        ({"revenue": "19.90"}, "revenue"),
        ({"revenue": {"currency": "EUR", "amount": True}}, "revenue.amount"),
        ({"revenue": {"currency": "EUR", "amount": float("nan")}}, "revenue.amount"),
        ({"revenue": {"currency": 978, "amount": 1}}, "revenue.currency"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": "1_800_000_000_000"}, "timestamp"),
        ({"timestamp": "١٨٠٠٠٠٠٠٠٠٠٠٠"}, "timestamp"),
        ({"page_id": 7}, "page_id"),
        ({"event_type": None}, "event_type"),
        ({"channel_type": "APP", "device": {"os": 7}}, "device.os"),
    ],
)
def test_wrong_type_is_refused(changes: dict[str, Any], field: str) -> None:
    assert refusal(HOME | changes).field == field


@pytest.mark.parametrize(
    "changes",
    [{"page_id": "x" * 129}, {"channel_type": "APP", "device": {"os": "iPadOS"}}],
    ids=["page_id", "os"],
)
def test_what_an_event_repairs_is_refused_on_the_wire(changes: dict[str, Any]) -> None:
    error = refusal(HOME | changes)
    assert error.rule
    assert error.fix


def test_items_may_be_a_tuple() -> None:
    assert loads(HOME | {"items": ({"id": "p"},)}, now=NOW).items == (Item("p"),)


def test_system_clock_decides_by_default() -> None:
    assert loads(HOME | {"timestamp": 1_600_000_000_000}).timestamp == 1_600_000_000_000
    with pytest.raises(InvalidEventError, match="future"):
        loads(HOME | {"timestamp": "9999999999999"})


@pytest.mark.parametrize(("body", "field", "clock"), list(own_vectors()))
def test_vector(body: Any, field: str | None, clock: bool) -> None:
    if field is None:
        assert loads(json.dumps(body), now=NOW).id == body["id"]
    else:
        assert refusal(json.dumps(body)).field == field


@pytest.mark.parametrize(("body", "field", "clock"), list(own_vectors()))
def test_schema_agrees_with_vector(body: Any, field: str | None, clock: bool) -> None:
    assert bool(problems(body)) is (field is not None and not clock)


@pytest.mark.parametrize("case", contract_cases(200))
def test_vector_of_the_contract_is_read(case: dict[str, Any]) -> None:
    assert loads(json.dumps(case["body"])).event_type == case["body"]["event_type"]


# No exceptions: what Event would repair for a shop (page ids, iPadOS) is refused on the wire.
@pytest.mark.parametrize("case", contract_cases(400))
def test_vector_of_the_contract_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidEventError):
        loads(json.dumps(case["body"]))


def test_timestamp_ahead_is_clamped() -> None:
    body = dumps(purchase())
    clamped = clamp_timestamp(body, NOW - 5)
    assert json.loads(clamped) == json.loads(body) | {"timestamp": str(NOW - 5)}


@pytest.mark.parametrize("now", [NOW, NOW + 1])
def test_timestamp_in_time_leaves_the_very_same_text(now: int) -> None:
    body = dumps(purchase())
    assert clamp_timestamp(body, now) is body


@pytest.mark.parametrize("body", ["", "{}", '{"timestamp":1800000000000}'])
def test_text_without_our_timestamp_is_left_alone(body: str) -> None:
    assert clamp_timestamp(body, 10**12) is body


def test_text_of_a_shopper_is_never_taken_for_the_timestamp() -> None:
    trap = '"timestamp":"1799999999999"'
    event = loads(HOME | {"id": trap, "search_query": trap}, now=NOW)
    clamped = loads(clamp_timestamp(dumps(event), 10**12), now=NOW)
    assert (clamped.id, clamped.search_query, clamped.timestamp) == (trap, trap, 10**12)


@given(strategies.events, st.integers(10**12, 10**13 - 1))
def test_clamping_changes_nothing_but_the_timestamp(event: Event, now: int) -> None:
    before = json.loads(dumps(event))
    after = json.loads(clamp_timestamp(dumps(event), now))
    assert after.pop("timestamp") == str(min(now, event.timestamp))
    del before["timestamp"]
    assert after == before


#: Values that fit here and there, and mostly nowhere.
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | strategies.any_text
    | st.sampled_from(["EUR", "APP", "ios", "1.2.3.4", "en", NOW, str(NOW), "null", "HOME"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "price", "amount", "currency", "quantity", "os", "ip"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELDS = ["id", "event_type", "timestamp", "channel_type", "user_id", "device", "items", "revenue"]


def faults_let_through(body: dict[str, Any]) -> list[str]:
    """Return what is wrong with an event that was read without an error."""
    try:
        event = loads(body, now=NOW)
    except InvalidEventError:
        return []
    return problems(json.loads(dumps(event)))


@given(strategies.events, st.dictionaries(st.sampled_from(FIELDS), JUNK))
def test_junk_is_refused_or_becomes_valid(event: Event, junk: dict[str, Any]) -> None:
    assert faults_let_through(to_wire(event) | junk) == []
