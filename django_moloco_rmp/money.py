"""Amounts of money that are exact, from the shop's database to the request body."""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Decimal

from django_moloco_rmp.exceptions import InvalidEventError

# fmt: off
#: https://mcm-docs.moloco.com/docs/multi-currency-support
CURRENCIES = frozenset((
    "AED", "AUD", "BRL", "CAD", "CHF", "CNY", "DKK", "EUR", "GBP", "HKD", "IDR", "INR", "JPY",
    "KRW", "MYR", "PHP", "PLN", "RUB", "SEK", "SGD", "THB", "TRY", "USD", "VES", "VND",
))
# fmt: on
#: Currencies without a smaller unit: the catalogue feed takes no fraction of them, either.
WHOLE_CURRENCIES = frozenset(("JPY", "KRW"))
#: Past this a JSON reader that uses doubles no longer tells neighbouring integers apart.
MAX_AMOUNT = 2**53


@dataclass(frozen=True, slots=True, init=False)
class Money:
    """
    An exact, non-negative amount of a currency.

    :param amount: ``Decimal``, ``int`` or a ``str`` such as ``"19.90"``, in whole units of the
        currency (euros, not cents). A float is refused: it has lost the exact value already.
    :param currency: one of :data:`~django_moloco_rmp.money.CURRENCIES`; None stands for the
        shop's default, which ``track()`` fills in
    :raises InvalidEventError: the amount is negative, not finite, or cannot be carried exactly
        by a JSON number (a double); the currency is unknown, or has no fractions
    """

    amount: Decimal
    currency: str | None

    def __init__(self, amount: Decimal | int | str, currency: str | None = None) -> None:
        object.__setattr__(self, "amount", _amount(amount))
        object.__setattr__(self, "currency", _currency(currency))
        self._refuse_fraction()

    def in_currency(self, currency: str | None) -> Money:
        """
        Return the same amount in a currency.

        :raises InvalidEventError: as for the class
        """
        # Its amount has been looked at.
        money = object.__new__(Money)
        object.__setattr__(money, "amount", self.amount)
        object.__setattr__(money, "currency", _currency(currency))
        money._refuse_fraction()
        return money

    def _refuse_fraction(self) -> None:
        if self.currency in WHOLE_CURRENCIES and self.amount != self.amount.to_integral_value():
            raise InvalidEventError(
                "amount", f"is a fraction, which {self.currency} does not have", "Round it."
            )


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise InvalidEventError(
            "amount",
            f"must be a Decimal, int or str, not {type(value).__name__}",
            "Pass Decimal('19.90') or '19.90'.",
        )
    try:
        # Python's own digit separator is in no price that a shop has.
        amount = Decimal("" if isinstance(value, str) and "_" in value else value)
    except (decimal.InvalidOperation, ValueError):
        raise InvalidEventError(
            "amount", "is not a decimal number", "Pass Decimal('19.90') or '19.90'."
        ) from None
    if not amount.is_finite():
        raise InvalidEventError("amount", "is not a finite number", "Leave the money out.")
    if amount < 0:
        raise InvalidEventError("amount", "is negative", "Pass zero or more.")
    if amount > MAX_AMOUNT or Decimal(repr(float(amount))) != amount:
        raise InvalidEventError(
            "amount",
            "has more digits than a JSON number carries exactly",
            "Round it to the decimals of its currency; 15 digits always fit.",
        )
    return amount.copy_abs()


def _currency(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidEventError(
            "currency", f"must be a str, not {type(value).__name__}", "Pass a code such as 'EUR'."
        )
    if value in CURRENCIES:
        return value
    code = value.strip().upper()
    raise InvalidEventError(
        "currency",
        "is not a currency that the API knows",
        f"Write {code!r}." if code in CURRENCIES else f"Use one of {' '.join(sorted(CURRENCIES))}.",
    )


def require_money(field: str, value: object) -> None:
    """
    Check that ``value`` is Money or None.

    :raises InvalidEventError: it is anything else
    """
    if value is not None and not isinstance(value, Money):
        raise InvalidEventError(
            field, f"must be Money, not {type(value).__name__}", "Pass Money('19.90', 'EUR')."
        )
