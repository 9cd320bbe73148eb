"""
The walk: what a shopper does, and what Moloco has to be told about each step.

What is expected is written down here on its own, prices and all: nothing of it is looked up in the
shop or worked out by the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import requests
from shop.payments import SIGNATURE_HEADER, PaymentNotice, signature

from demo.browser import TIMEOUT, Browser, BrowserError, now

SEARCH_ENGINE = "https://www.google.com/"
EMAIL = "ada.byron@example.com"
PASSWORD = "long-summer-evenings"
LAMP, VASE = "sund-dome-lamp", "bolge-bottle-vase"

Items = tuple[tuple[str, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """One event that has to arrive. Items are of id, unit price in EUR, quantity."""

    event_type: str
    page: str
    referrer: str | None = None
    items: Items = ()
    query: str | None = None
    revenue: str | None = None
    shipping: str | None = None
    #: None: any id will do.
    id: str | None = None
    is_signed_in: bool = False
    #: Between these moments, in milliseconds since the epoch, it happened.
    since: int = 0
    until: int = 0

    def body(self) -> dict[str, Any]:
        """What the body has to hold besides id, time, identifiers and device."""
        found: dict[str, Any] = {
            "event_type": self.event_type,
            "channel_type": "SITE",
            "page_id": self.page,
            "referrer_page_id": self.referrer,
            "search_query": self.query,
            "items": [
                {"id": sku, "price": _euro(price), "quantity": quantity}
                for sku, price, quantity in self.items
            ],
            "revenue": _euro(self.revenue),
            "shipping_charge": _euro(self.shipping),
        }
        return _without_blanks(found)


def _euro(amount: str | None) -> dict[str, Any] | None:
    return None if amount is None else {"currency": "EUR", "amount": Decimal(amount)}


def _without_blanks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_blanks(v) for k, v in value.items() if v is not None and v != []}
    return [_without_blanks(each) for each in value] if isinstance(value, list) else value


@dataclass(slots=True)
class Walk:
    """
    A shopper's way from a search engine to an order.

    ``say`` gets a line before each step. Afterwards ``expected`` holds the events in their order,
    and ``raw`` what no event may hold: the shopper's own data, as the shop knows them.
    """

    browser: Browser
    payment_secret: str
    say: Callable[[str], object]
    expected: list[Expected] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)
    _is_signed_in: bool = False

    def run(self) -> None:
        """
        Walk.

        :raises BrowserError: the shop is not as it should be
        """
        self._arrive()
        self._sign_up_and_out()
        self._look_around()
        self._fill_the_cart()
        self._sign_in()
        self._order()

    def _arrive(self) -> None:
        with self._step(
            "comes from a search engine to the home page",
            Expected("LAND", "HOME", "www.google.com"),
            Expected("HOME", "HOME", "www.google.com"),
        ):
            self.browser.arrive("/", SEARCH_ENGINE)

    def _sign_up_and_out(self) -> None:
        browser = self.browser
        with self._step("signs up for an account"):
            browser.click("/account/")
            browser.click("/account/sign-up/")
            browser.submit(
                "/account/sign-up/", username=EMAIL, password1=PASSWORD, password2=PASSWORD
            )
        self._remember("first session key", browser.cookie("sessionid"))
        self._is_signed_in = True
        with self._step("goes home, signed in", Expected("HOME", "HOME", "ACCOUNT_PAGE")):
            browser.click("/")
        browser.click("/account/")
        self._is_signed_in = False
        with self._step("signs out again", Expected("HOME", "HOME", "ACCOUNT_PAGE")):
            browser.submit("/account/sign-out/")

    def _look_around(self) -> None:
        browser = self.browser
        with self._step(
            "searches for a lamp", Expected("SEARCH", "SEARCH_PAGE", "HOME", query="lamp")
        ):
            browser.submit("/search/", q="lamp")
        with self._step(
            "looks at all lamps",
            Expected("PAGE_VIEW", "CATEGORY_HOME_PAGE:lamps", "SEARCH_PAGE"),
        ):
            browser.click("/category/lamps/")
        with self._step(
            "looks at one of them",
            Expected(
                "ITEM_PAGE_VIEW",
                f"PRODUCT_DETAIL_PAGE:{LAMP}",
                "CATEGORY_HOME_PAGE:lamps",
                items=(("LMP-102", "79.90", None),),
            ),
        ):
            browser.click(f"/product/{LAMP}/")

    def _fill_the_cart(self) -> None:
        browser = self.browser
        with self._step(
            "puts two into the cart",
            Expected(
                "ADD_TO_CART", f"PRODUCT_DETAIL_PAGE:{LAMP}", items=(("LMP-102", "79.90", 2),)
            ),
            Expected("PAGE_VIEW", "CART_PAGE", f"PRODUCT_DETAIL_PAGE:{LAMP}"),
        ):
            browser.submit(f"/cart/add/{LAMP}/", quantity="2")
        with self._step("reads about the shop", Expected("PAGE_VIEW", "ABOUT_PAGE", "CART_PAGE")):
            browser.click("/about/")
        with self._step(
            "looks at the ceramics",
            Expected("PAGE_VIEW", "CATEGORY_HOME_PAGE:ceramics", "ABOUT_PAGE"),
        ):
            browser.click("/category/ceramics/")
        with self._step(
            "looks at a vase",
            Expected(
                "ITEM_PAGE_VIEW",
                f"PRODUCT_DETAIL_PAGE:{VASE}",
                "CATEGORY_HOME_PAGE:ceramics",
                items=(("CER-202", "36.50", None),),
            ),
        ):
            browser.click(f"/product/{VASE}/")
        with self._step(
            "puts it on the wish list",
            Expected(
                "ADD_TO_WISHLIST",
                f"PRODUCT_DETAIL_PAGE:{VASE}",
                items=(("CER-202", "36.50", None),),
            ),
            Expected("PAGE_VIEW", "WISHLIST_PAGE", f"PRODUCT_DETAIL_PAGE:{VASE}"),
        ):
            browser.submit(f"/wishlist/add/{VASE}/")
        with self._step(
            "and then puts it into the cart",
            Expected("ADD_TO_CART", "WISHLIST_PAGE", items=(("CER-202", "36.50", 1),)),
            Expected("PAGE_VIEW", "CART_PAGE", "WISHLIST_PAGE"),
        ):
            browser.submit(f"/cart/add/{VASE}/")

    def _sign_in(self) -> None:
        browser = self.browser
        self._remember("session key before", browser.cookie("sessionid"))
        with self._step("wants to check out, and has to sign in"):
            browser.click("/checkout/")
        self._is_signed_in = True
        with self._step(
            "signs in and gets to the checkout",
            Expected("PAGE_VIEW", "CHECKOUT_PAGE", "LOGIN_PAGE"),
        ):
            browser.submit("/account/sign-in/", username=EMAIL, password=PASSWORD)
        self._remember("session key", browser.cookie("sessionid"))
        self._remember("browser cookie", browser.cookie("moloco_pid"))
        self._remember("CSRF cookie", browser.cookie("csrftoken"))

    def _order(self) -> None:
        browser = self.browser
        address = {
            "name": "Ada Byron",
            "street": "Havnegade 12",
            "postcode": "1058",
            "city": "Copenhagen",
        }
        for key, value in {"email": EMAIL, **address}.items():
            self._remember(key, value)
        with self._step("places the order"):
            browser.submit("/checkout/", **address)
        order = UUID(browser.path.strip("/").rpartition("/")[2])
        with self._step(
            "pays; the bank tells the shop by its webhook",
            Expected(
                "PURCHASE",
                "CHECKOUT_PAGE",
                "CHECKOUT_PAGE",
                items=(("LMP-102", "79.90", 2), ("CER-202", "36.50", 1)),
                revenue="196.30",
                shipping="6.50",
                id=f"order-{order}",
            ),
            Expected("PAGE_VIEW", "ORDER_SUMMARY_PAGE", "PAYMENT_PAGE"),
        ):
            browser.submit(f"/bank/{order}/", verdict="approve")
        with self._step("the bank tells it again, as banks do"):
            self._notify(PaymentNotice(order, is_paid=True, amount=Decimal("202.80")))
        with self._step("looks at the account"):
            browser.click("/account/")
        customer = re.search(r'id="customer">([^<]+)<', browser.text)
        self._remember("customer number", customer and customer[1])
        with self._step("goes home", Expected("HOME", "HOME", "ACCOUNT_PAGE")):
            browser.click("/")

    def _notify(self, notice: PaymentNotice) -> None:
        body = notice.dumps()
        with requests.Session() as bank:
            bank.trust_env = False
            try:
                response = bank.post(
                    f"{self.browser.origin}/payments/webhook/",
                    data=body,
                    headers={SIGNATURE_HEADER: signature(body, self.payment_secret)},
                    timeout=TIMEOUT,
                )
            except requests.RequestException as error:
                raise BrowserError(f"the webhook gave no answer: {error}") from error
        if response.status_code != 200:
            raise BrowserError(f"the webhook answered {response.status_code}")

    def _remember(self, name: str, value: str | None) -> None:
        if not value:
            raise BrowserError(f"there is no {name} where the shop should have one")
        self.raw[name] = value

    @contextmanager
    def _step(self, text: str, *expected: Expected) -> Iterator[None]:
        self.say(text)
        since = now()
        yield
        until = now()
        self.expected += [
            replace(each, since=since, until=until, is_signed_in=self._is_signed_in)
            for each in expected
        ]
