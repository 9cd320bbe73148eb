from __future__ import annotations

import decimal
from dataclasses import FrozenInstanceError, dataclass, fields
from decimal import Decimal
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.items import Item, as_item, as_items, priced, total
from django_moloco_rmp.money import Money
from tests import strategies


@dataclass
class Product:
    sku: str
    price: Decimal = Decimal("19.90")


class Book(Product):
    pass


class Bundle(list[str]):
    """Iterable, and one thing to sell all the same."""


class Voucher:
    """Its adapter is broken."""


class Stranger:
    """Nobody registered it."""


@as_item.register
def _(value: Product) -> Item:
    return Item(value.sku, price=Money(value.price, "EUR"))


@as_item.register
def _(value: Bundle) -> Item:
    return Item("bundle")


@as_item.register(Voucher)
def _(value: Voucher) -> Any:
    return {"id": "voucher"}


def test_item_holds_what_it_was_given() -> None:
    price, seller = Money("19.90", "EUR"), Money(15, "EUR")
    item = Item("p", item_group_id="g", price=price, quantity=2, seller_id="s", price_seller=seller)
    assert item.id == "p"
    assert item.item_group_id == "g"
    assert item.price == price
    assert item.quantity == 2
    assert item.seller_id == "s"
    assert item.price_seller == seller


def test_other_prices_leave_all_else_as_it_is() -> None:
    price, seller = Money("19.90", "EUR"), Money(15, "EUR")
    item = Item("p", item_group_id="g", price=Money(1), quantity=2, seller_id="s")
    assert priced(item, price, seller) == Item(
        "p", item_group_id="g", price=price, quantity=2, seller_id="s", price_seller=seller
    )
    # There is no other field that could be forgotten.
    assert len(fields(Item)) == 6


def test_item_group_id_is_enough() -> None:
    assert Item(item_group_id="g").id is None


@pytest.mark.parametrize("blank", [None, "", " ", "\x00"])
def test_item_without_any_id_is_refused(blank: str | None) -> None:
    with pytest.raises(InvalidEventError, match="item_group_id") as caught:
        Item(blank, item_group_id=blank)
    assert (caught.value.field, caught.value.fix) == ("id", "Pass the product's catalogue id.")


@pytest.mark.parametrize("name", ["id", "item_group_id", "seller_id"])
def test_number_for_an_id_is_refused(name: str) -> None:
    arguments: dict[str, Any] = {"id": "p", name: 7}
    with pytest.raises(InvalidEventError, match="int") as caught:
        Item(**arguments)
    assert caught.value.field == name


@pytest.mark.parametrize("quantity", [1, 2, 2**31 - 1])
def test_quantity_in_range(quantity: int) -> None:
    assert Item("p", quantity=quantity).quantity == quantity


@pytest.mark.parametrize("quantity", [0, -1, 2**31, pytest.param(10**5000, id="huge")])
def test_quantity_out_of_range_is_refused(quantity: int) -> None:
    with pytest.raises(InvalidEventError, match="between 1 and 2147483647") as caught:
        Item("p", quantity=quantity)
    assert caught.value.field == "quantity"
    assert "number of units" in caught.value.fix


@pytest.mark.parametrize("quantity", [True, 1.0, "1", Decimal(1)])
def test_quantity_of_another_type_is_refused(quantity: Any) -> None:
    with pytest.raises(InvalidEventError, match=type(quantity).__name__) as caught:
        Item("p", quantity=quantity)
    assert (caught.value.field, caught.value.fix) == ("quantity", "Pass a whole number.")


@pytest.mark.parametrize("name", ["price", "price_seller"])
def test_bare_price_is_refused(name: str) -> None:
    arguments: dict[str, Any] = {name: Decimal("19.90")}
    with pytest.raises(InvalidEventError, match="must be Money") as caught:
        Item("p", **arguments)
    assert caught.value.field == name


def test_item_cannot_be_changed() -> None:
    item = Item("p")
    with pytest.raises(FrozenInstanceError):
        item.id = "q"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "item"),
    [
        (Item("p"), Item("p")),
        ("p", Item("p")),
        ({"id": "p", "quantity": 2}, Item("p", quantity=2)),
        ({"id": "p", "price": "9.50"}, Item("p", price=Money("9.50"))),
        ({"id": "p", "price": Money(9, "EUR")}, Item("p", price=Money(9, "EUR"))),
        ({"id": "p", "price": {"amount": 9}}, Item("p", price=Money(9))),
        (
            {"id": "p", "price_seller": {"amount": "9.5", "currency": "EUR"}},
            Item("p", price_seller=Money("9.5", "EUR")),
        ),
        ({"id": "p", "price": None}, Item("p")),
        (Product("p"), Item("p", price=Money("19.90", "EUR"))),
        (Book("b"), Item("b", price=Money("19.90", "EUR"))),
        (Bundle(["part-1", "part-2"]), Item("bundle")),
        (SimpleLazyObject(lambda: Product("lazy")), Item("lazy", price=Money("19.90", "EUR"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_as_item(value: object, item: Item) -> None:
    assert as_item(value) == item


@pytest.mark.parametrize(
    "value", [Stranger(), 7, b"p", None, object()], ids=lambda value: type(value).__name__
)
def test_object_without_adapter_is_refused(value: object) -> None:
    with pytest.raises(InvalidEventError, match="no adapter for") as caught:
        as_item(value)
    assert caught.value.field == "items"
    assert type(value).__qualname__ in caught.value.rule
    assert "@as_item.register" in caught.value.fix


def test_refusal_of_a_lazy_object_names_what_it_wraps() -> None:
    with pytest.raises(InvalidEventError, match="Stranger"):
        as_item(SimpleLazyObject(Stranger))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"id": "p", "colour": "red"}, "colour"),
        ({"id": "p", "price": 9.5}, "price.amount"),
        ({"id": "p", "price": {"currency": "EUR"}}, "price.amount"),
        ({"id": "p", "price": {"amount": 1, "currency": "eur"}}, "price.currency"),
        ({"id": "p", "price_seller": "-1"}, "price_seller.amount"),
        ({"quantity": 1}, "id"),
    ],
)
def test_unusable_mapping_is_refused(value: object, field: str) -> None:
    with pytest.raises(InvalidEventError) as caught:
        as_item(value)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ((), []),
        ("p", ["p"]),
        (Product("p"), ["p"]),
        ({"id": "p"}, ["p"]),
        (Bundle(["part-1", "part-2"]), ["bundle"]),
        (["p", Product("q"), {"id": "r"}], ["p", "q", "r"]),
        ((name for name in "ab"), ["a", "b"]),
        ({"p"}, ["p"]),
        (SimpleLazyObject(lambda: ["p", "q"]), ["p", "q"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_as_items_takes_one_or_many(value: object, ids: list[str]) -> None:
    assert [item.id for item in as_items(value)] == ids


@pytest.mark.parametrize("value", [None, 7, Stranger(), SimpleLazyObject(Stranger)])
def test_as_items_refuses_what_is_neither(value: object) -> None:
    with pytest.raises(InvalidEventError, match="no adapter") as caught:
        as_items(value)
    assert caught.value.field == "items"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (["p", None], "items[1]"),
        (["p", Stranger()], "items[1]"),
        (["p", {"id": "q", "quantity": 0}], "items[1].quantity"),
        ({"id": "p", "price": "x"}, "items[0].price.amount"),
        ("", "items[0].id"),
    ],
)
def test_as_items_says_which_one_is_wrong(value: object, field: str) -> None:
    with pytest.raises(InvalidEventError) as caught:
        as_items(value)
    assert caught.value.field == field


def test_adapter_that_returns_something_else_is_named() -> None:
    with pytest.raises(InvalidEventError, match="adapter for Voucher returned dict") as caught:
        as_items([Voucher()])
    assert (caught.value.field, caught.value.fix) == ("items[0]", "Return an Item from it.")


def test_error_of_an_adapter_comes_through() -> None:
    with pytest.raises(InvalidEventError, match="negative") as caught:
        as_items([Product("p", Decimal(-1))])
    assert caught.value.field == "items[0].amount"


def test_total_is_price_times_quantity() -> None:
    items = [
        Item("p", price=Money("19.90", "EUR"), quantity=3),
        Item("q", price=Money("0.10", "EUR")),
    ]
    assert total(items) == Money("59.80", "EUR")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [Item("p")],
        [Item("p", price=Money(1, "EUR")), Item("q")],
        [Item("p", price=Money(1, "EUR")), Item("q", price=Money(1, "USD"))],
        [Item("p", price=Money(1, "EUR")), Item("q", price=Money(1))],
    ],
)
def test_total_that_cannot_be_known(items: list[Item]) -> None:
    assert total(items) is None


def test_total_in_the_currency_of_the_shop() -> None:
    assert total([Item("p", price=Money(1)), Item("q", price=Money(2))]) == Money(3)


def test_total_too_large_is_refused() -> None:
    with pytest.raises(InvalidEventError, match="exactly"):
        total([Item("p", price=Money(2**53, "EUR"), quantity=2)])


def test_total_ignores_the_callers_decimal_context() -> None:
    with decimal.localcontext(prec=2):
        assert total([Item("p", price=Money("123.45", "EUR"), quantity=3)]) == Money(
            "370.35", "EUR"
        )


@given(st.lists(strategies.items, max_size=5).map(tuple))
def test_as_items_leaves_items_alone(items: tuple[Item, ...]) -> None:
    assert as_items(items) == items


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(1, 1000)), min_size=1, max_size=20))
def test_total_counts_to_the_cent(lines: list[tuple[int, int]]) -> None:
    items = [
        Item("p", price=Money(Decimal(cents).scaleb(-2), "EUR"), quantity=quantity)
        for cents, quantity in lines
    ]
    expected = sum(cents * quantity for cents, quantity in lines)
    assert total(items) == Money(Decimal(expected).scaleb(-2), "EUR")
