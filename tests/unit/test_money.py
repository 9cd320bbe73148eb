from __future__ import annotations

import decimal
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal
from typing import Any

import pytest

from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.money import CURRENCIES, Money, require_money


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        (Decimal("19.90"), Decimal("19.9")),
        ("19.90", Decimal("19.9")),
        (20, Decimal(20)),
        (0, Decimal(0)),
        ("0.01", Decimal("0.01")),
        (2**53, Decimal(2**53)),
        ("1E+3", Decimal(1000)),
        (Decimal("1E-7"), Decimal("0.0000001")),
        ("5E-324", Decimal("5E-324")),
        (Decimal("12345678901.2345"), Decimal("12345678901.2345")),
    ],
)
def test_amount_is_exact(given: Decimal | int | str, amount: Decimal) -> None:
    assert Money(given, "EUR").amount == amount


def test_negative_zero_is_zero() -> None:
    assert not Money("-0.00").amount.is_signed()


@pytest.mark.parametrize("amount", [19.9, 1.0, True, None, b"1", [1]])
def test_amount_of_another_type_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidEventError, match=type(amount).__name__) as caught:
        Money(amount)
    assert caught.value.field == "amount"
    assert "Decimal('19.90') or '19.90'" in caught.value.fix


@pytest.mark.parametrize(
    "amount", ["", "19,90", "€5", "1 000", "0x10", "1_000", "1E99999999999999999999"]
)
def test_text_that_is_no_number_is_refused(amount: str) -> None:
    with pytest.raises(InvalidEventError, match="not a") as caught:
        Money(amount)
    assert caught.value.field == "amount"


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", Decimal("-Infinity")])
def test_amount_that_is_not_finite_is_refused(amount: Decimal | str) -> None:
    with pytest.raises(InvalidEventError, match="finite") as caught:
        Money(amount)
    assert (caught.value.field, caught.value.fix) == ("amount", "Leave the money out.")


@pytest.mark.parametrize("amount", [-1, "-0.01", Decimal("-5E-324")])
def test_negative_amount_is_refused(amount: Decimal | int | str) -> None:
    with pytest.raises(InvalidEventError, match="negative") as caught:
        Money(amount)
    assert (caught.value.field, caught.value.fix) == ("amount", "Pass zero or more.")


@pytest.mark.parametrize(
    "amount",
    [
        2**53 + 1,
        2**53 + 2,
        2**60,
        pytest.param(10**5000, id="huge"),
        "1E+999999",
        "1E-999999",
        "0.1000000000000000055511151231257827",
        "12345678901234567.89",
    ],
)
def test_amount_that_a_double_would_change_is_refused(amount: int | str) -> None:
    with pytest.raises(InvalidEventError, match="exactly") as caught:
        Money(amount)
    assert caught.value.field == "amount"
    assert "Round" in caught.value.fix


def test_callers_decimal_context_makes_no_difference() -> None:
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact, decimal.Rounded])):
        assert Money("123.45").amount == Decimal("123.45")


def test_a_context_that_traps_nothing_makes_no_difference() -> None:
    with (
        decimal.localcontext(decimal.Context(traps=[])),
        pytest.raises(InvalidEventError, match="finite"),
    ):
        Money("rubbish")


def test_there_are_25_currencies() -> None:
    assert len(CURRENCIES) == 25


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_currency(currency: str) -> None:
    assert Money(1, currency).currency == currency


def test_currency_may_be_left_to_the_shop() -> None:
    assert Money(1).currency is None


@pytest.mark.parametrize("currency", ["eur", "Eur", " EUR "])
def test_careless_currency_is_refused_with_the_right_one(currency: str) -> None:
    with pytest.raises(InvalidEventError, match="not a currency") as caught:
        Money(1, currency)
    assert (caught.value.field, caught.value.fix) == ("currency", "Write 'EUR'.")


@pytest.mark.parametrize("currency", ["VEF", "UNKNOWN_CURRENCY", "", "€"])
def test_unknown_currency_is_refused_with_the_list(currency: str) -> None:
    with pytest.raises(InvalidEventError, match="not a currency") as caught:
        Money(1, currency)
    assert caught.value.fix.startswith("Use one of AED AUD")


def test_currency_of_another_type_is_refused() -> None:
    currency: Any = 978
    with pytest.raises(InvalidEventError, match="int") as caught:
        Money(1, currency)
    assert (caught.value.field, caught.value.fix) == ("currency", "Pass a code such as 'EUR'.")


@pytest.mark.parametrize("currency", ["JPY", "KRW"])
def test_a_fraction_of_what_has_none_is_refused(currency: str) -> None:
    assert Money("1200.00", currency).amount == 1200
    assert Money("1.2E3", currency).amount == 1200
    for amount in ("1200.50", Decimal("0.01"), "5E-324"):
        with pytest.raises(InvalidEventError, match=f"a fraction, which {currency}") as caught:
            Money(amount, currency)
        assert (caught.value.field, caught.value.fix) == ("amount", "Round it.")


def test_a_fraction_is_refused_when_the_currency_is_filled_in() -> None:
    with pytest.raises(InvalidEventError, match="a fraction"):
        replace(Money("9.50"), currency="JPY")


def outcome(make: Callable[[], Money]) -> Money | str:
    try:
        return make()
    except InvalidEventError as error:
        return str(error)


@pytest.mark.parametrize("currency", ["EUR", "JPY", None, "eur", "XXX"])
@pytest.mark.parametrize("amount", ["0", "20", "19.90"])
def test_a_currency_that_is_filled_in_is_looked_at_as_one_that_was_given(
    amount: str, currency: str | None
) -> None:
    filled_in = outcome(lambda: Money(amount).in_currency(currency))
    assert filled_in == outcome(lambda: Money(amount, currency))


def test_money_is_a_value() -> None:
    assert Money("1.50", "EUR") == Money(Decimal("1.5"), "EUR")
    assert hash(Money("1.50", "EUR")) == hash(Money(Decimal("1.5"), "EUR"))
    assert Money(1, "EUR") != Money(1, "USD")


def test_money_cannot_be_changed() -> None:
    money = Money(1, "EUR")
    with pytest.raises(FrozenInstanceError):
        money.currency = "USD"  # type: ignore[misc]


def test_money_can_be_replaced_and_pickled() -> None:
    money = replace(Money("9.50"), currency="EUR")
    assert money == Money("9.50", "EUR")
    assert pickle.loads(pickle.dumps(money)) == money


@pytest.mark.parametrize("value", [None, Money(1)])
def test_money_or_nothing_is_accepted(value: Money | None) -> None:
    require_money("revenue", value)


def test_a_bare_number_is_not_money() -> None:
    with pytest.raises(InvalidEventError, match="Decimal") as caught:
        require_money("revenue", Decimal(1))
    assert caught.value.field == "revenue"
    assert "Money('19.90', 'EUR')" in caught.value.fix
