"""
What the API takes, as a JSON Schema (Draft 2020-12), written apart from the package's own rules.

It knows nothing of the clock: that a timestamp is not in the future is beyond a schema.
Source: https://mcm-docs.moloco.com/docs/user-event-data-specifications and the published OpenAPI.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]

# A letter, a digit, anything: but not only white space.
FILLED: Schema = {"type": "string", "pattern": r"\S"}
TEXT: Schema = {"type": "string"}
ID: Schema = {"type": "string", "maxLength": 128}

CURRENCIES = (
    "USD KRW JPY EUR GBP SEK INR THB IDR CNY CAD RUB BRL SGD HKD AUD PLN DKK VND MYR PHP TRY VES"
    " AED CHF"
)


def record(required: str = "", **properties: Schema) -> Schema:
    """Return the schema of an object; keys that are not named are let through."""
    return {"type": "object", "required": required.split(), "properties": properties}


def when(name: str, values: str, then: Schema) -> Schema:
    """Return a schema that holds ``then`` only against bodies whose ``name`` is in ``values``."""
    condition = {"required": [name], "properties": {name: {"enum": values.split()}}}
    return {"if": condition, "then": then}


MONEY = record(
    "currency amount",
    currency={"enum": CURRENCIES.split()},
    amount={"type": "number", "minimum": 0},
)
ITEM = record(
    id=TEXT,
    item_group_id=TEXT,
    seller_id=TEXT,
    price=MONEY,
    price_seller=MONEY,
    quantity={"type": "integer", "minimum": 1, "maximum": 2147483647},
)
IDENTIFIED_ITEM = {
    "anyOf": [record("id", id=FILLED), record("item_group_id", item_group_id=FILLED)]
}
DEVICE = record(
    os=TEXT,
    os_version=TEXT,
    model=TEXT,
    ua=TEXT,
    language={"type": "string", "pattern": "^[a-z][a-z]$"},
    persistent_id=ID,
    unique_device_id=ID,
    advertising_id=ID | {"not": {"pattern": "^[0-]*$"}},
    ip={"type": "string", "format": "ipv4"},
)

EVENT = record(
    "id event_type timestamp channel_type",
    id=ID | FILLED,
    event_type={
        "enum": [
            *("HOME", "LAND", "PAGE_VIEW", "SEARCH"),
            *("ITEM_PAGE_VIEW", "ADD_TO_CART", "ADD_TO_WISHLIST", "PURCHASE"),
        ]
    },
    timestamp={
        "anyOf": [
            {"type": "string", "pattern": "^[1-9][0-9]{12}$"},
            {"type": "integer", "minimum": 10**12, "exclusiveMaximum": 10**13},
        ]
    },
    channel_type={"enum": ["APP", "SITE", "DESKTOP_SITE", "MOBILE_SITE"]},
    user_id=ID | {"not": {"enum": ["null", "undefined", "invalid", "nil"]}},
    custom_id=ID,
    session_id=ID,
    domain=TEXT,
    device=DEVICE,
    items={"type": "array", "items": ITEM},
    revenue=MONEY,
    shipping_charge=MONEY,
    search_query=TEXT,
    page_id=ID,
    referrer_page_id=ID,
    decision_track_id=TEXT,
    personalization_mode={"enum": ["STANDARD", "METRIC_ONLY", "ID_LESS"]},
)
EVENT["$schema"] = "https://json-schema.org/draft/2020-12/schema"
EVENT["anyOf"] = [
    *(record(name, **{name: FILLED}) for name in ("user_id", "custom_id", "session_id")),
    *(
        record("device", device=record(name, **{name: FILLED}))
        for name in ("persistent_id", "unique_device_id", "advertising_id")
    ),
]
EVENT["allOf"] = [
    when("event_type", "SEARCH", record("search_query", search_query=FILLED)),
    when("event_type", "PAGE_VIEW", record("page_id", page_id=FILLED)),
    when("event_type", "PURCHASE", record("revenue")),
    when(
        "event_type",
        "ITEM_PAGE_VIEW ADD_TO_CART ADD_TO_WISHLIST PURCHASE",
        record("items", items={"minItems": 1, "items": IDENTIFIED_ITEM}),
    ),
    when(
        "channel_type",
        "APP",
        record(
            "device",
            device=record("os", os={"pattern": "[iI][oO][sS]|[aA][nN][dD][rR][oO][iI][dD]"}),
        ),
    ),
]

Draft202012Validator.check_schema(EVENT)
_VALIDATOR = Draft202012Validator(EVENT, format_checker=Draft202012Validator.FORMAT_CHECKER)


def problems(body: Any) -> list[str]:
    """Return what is wrong with a parsed request body, in no particular order."""
    return [f"{error.json_path}: {error.message}" for error in _VALIDATOR.iter_errors(body)]
