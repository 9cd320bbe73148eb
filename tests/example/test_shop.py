"""The example shop over HTTP: its pages, its orders, and what it reports of them."""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import pytest
import requests
from demo.browser import Browser, BrowserError, now
from demo.shop import Shop
from shop.payments import SIGNATURE_HEADER, PaymentNotice, signature

from django_moloco_rmp.sandbox import SandboxServer
from tests.example.demo import manage

pytestmark = [pytest.mark.example, pytest.mark.slow]

LAMP, VASE = "sund-dome-lamp", "bolge-bottle-vase"
ADDRESS = {
    "name": "Ada Byron",
    "street": "Havnegade 12",
    "postcode": "1058",
    "city": "Copenhagen",
}
SECRET = "known to bank and shop"
PATIENCE = 20


@dataclass(frozen=True)
class Example:
    """The shop, and the sandbox that gets its events."""

    url: str
    sandbox: SandboxServer

    def visitor(self) -> Browser:
        browser = Browser(self.url)
        browser.arrive("/", "https://www.google.com/")
        return browser

    def wait_for(self, is_it: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """All events, once there is such a one."""
        found = self.sandbox.events()
        while not any(is_it(call["body"]) for call in found):
            found = self.sandbox.wait_for(len(found) + 1, PATIENCE)
        return [call["body"] for call in found]

    def purchases(self, order: UUID) -> list[dict[str, Any]]:
        """The order's PURCHASE events: one, and what else is sent before the next event."""
        event_id = f"order-{order}"
        self.wait_for(lambda body: body["id"] == event_id)
        word = uuid.uuid4().hex
        with closing(self.visitor()) as browser:
            browser.submit("/search/", q=word)
        events = self.wait_for(lambda body: body.get("search_query") == word)
        return [body for body in events if body["id"] == event_id]

    def notify(self, body: bytes, *, secret: str = SECRET) -> int:
        """Tell the shop as the bank does; return the status of the answer."""
        headers = {SIGNATURE_HEADER: signature(body, secret)}
        return requests.post(
            f"{self.url}/payments/webhook/", data=body, headers=headers, timeout=PATIENCE
        ).status_code


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with SandboxServer() as sandbox:
        variables = {
            "MOLOCO_RMP_BASE_URL": sandbox.url,
            "MOLOCO_RMP_PLATFORM_ID": "SHOP_TEST",
            "MOLOCO_RMP_API_KEY": "test-key",
            "PAYMENT_SECRET": SECRET,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        with Shop(tmp_path_factory.mktemp("shop"), variables) as shop:
            yield Example(shop.url, sandbox)


@pytest.fixture
def visitor(example: Example) -> Iterator[Browser]:
    with closing(example.visitor()) as browser:
        yield browser


@pytest.fixture(scope="module")
def customer(example: Example) -> Iterator[Browser]:
    """Somebody with an account."""
    with closing(example.visitor()) as browser:
        sign_up(browser)
        yield browser


def sign_up(browser: Browser) -> None:
    browser.click("/account/")
    browser.click("/account/sign-up/")
    browser.submit(
        "/account/sign-up/",
        username=f"{uuid.uuid4().hex}@example.com",
        password1="long-summer-evenings",
        password2="long-summer-evenings",
    )
    assert browser.path == "/account/"


def go_to_checkout(browser: Browser) -> None:
    browser.arrive("/", browser.origin)
    browser.click(f"/product/{LAMP}/")
    browser.submit(f"/cart/add/{LAMP}/", quantity="1")
    browser.click("/checkout/")


def order(browser: Browser) -> UUID:
    """Place an order; return its id. What comes next is the bank."""
    go_to_checkout(browser)
    browser.submit("/checkout/", **ADDRESS)
    return UUID(browser.path.strip("/").rpartition("/")[2])


def test_each_link_leads_somewhere(example: Example) -> None:
    seen, left = set(), ["/"]
    with requests.Session() as session:
        while left:
            path = left.pop()
            answer = session.get(example.url + path, timeout=PATIENCE)
            assert answer.status_code == 200, path
            seen.add(path)
            for link in re.findall(r'(?:href|src)="([^"#]+)', answer.text):
                url = urlsplit(urljoin(example.url + path, link))
                if url.netloc in example.url and url.path not in {*seen, *left}:
                    left.append(url.path)
    for page in ("/about/", "/cart/", "/wishlist/", f"/product/{LAMP}/", "/category/plants/"):
        assert page in seen


@pytest.mark.parametrize("path", ["/product/nothing/", "/category/nothing/", "/no-such-page/"])
def test_what_there_is_not_is_not_found(example: Example, path: str) -> None:
    assert requests.get(example.url + path, timeout=PATIENCE).status_code == 404


@pytest.mark.parametrize("query", ["", "%00", "a%00b", "%ff", "<script>", "x" * 5000])
def test_a_search_for_anything_is_answered(example: Example, query: str) -> None:
    url = f"{example.url}/search/?q={query}&in=%00"
    answer = requests.get(url, timeout=PATIENCE)
    assert answer.status_code == 200
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "path", [f"/cart/add/{LAMP}/", f"/wishlist/add/{LAMP}/", "/account/sign-out/"]
)
def test_nothing_is_changed_by_following_a_link_or_from_another_site(
    example: Example, path: str
) -> None:
    assert requests.get(example.url + path, timeout=PATIENCE).status_code == 405
    form = {"quantity": "1"}
    assert requests.post(example.url + path, data=form, timeout=PATIENCE).status_code == 403


def test_signing_up_leads_to_no_other_site(example: Example) -> None:
    query = {"next": "https://evil.example/"}
    page = requests.get(f"{example.url}/account/sign-up/", params=query, timeout=PATIENCE)
    assert '<input type="hidden" name="next" value="/account/">' in page.text


def test_what_the_cart_has_no_room_for_is_not_reported(example: Example, visitor: Browser) -> None:
    start = now()
    for _ in range(3):
        visitor.click("/")
        visitor.click(f"/product/{VASE}/")
        visitor.submit(f"/cart/add/{VASE}/", quantity="8")
    assert "is all that we sell at once" not in visitor.text
    visitor.click(f"/product/{VASE}/")
    visitor.submit(f"/cart/add/{VASE}/", quantity="8")
    assert "is all that we sell at once" in visitor.text

    def is_last_page(body: dict[str, Any]) -> bool:
        return body["event_type"] == "SEARCH" and body["search_query"] == "the end"

    visitor.submit("/search/", q="the end")
    added = sorted(
        (body["timestamp"], body["items"][0]["quantity"])
        for body in example.wait_for(is_last_page)
        if body["event_type"] == "ADD_TO_CART" and body["items"][0]["id"] == "CER-202"
    )
    assert all(int(moment) >= start for moment, _ in added)
    assert [quantity for _, quantity in added] == [8, 8, 4]


def test_a_checkout_sent_twice_is_one_order(customer: Browser) -> None:
    go_to_checkout(customer)
    checkout = customer.url, customer.text
    customer.submit("/checkout/", **ADDRESS)
    placed = customer.path.removeprefix("/bank")
    customer.url, customer.text = checkout
    customer.submit("/checkout/", **ADDRESS)
    assert customer.path == "/cart/"
    customer.click("/account/")
    orders = re.findall(r'href="/orders(/[^"]+)"', customer.text)
    assert orders[0] == placed
    assert len(orders) == len(set(orders))


def test_an_order_is_reported_once_however_often_it_is_paid_and_looked_at(
    example: Example, customer: Browser
) -> None:
    placed = order(customer)
    bank = customer.url, customer.text
    for _ in range(2):
        customer.url, customer.text = bank
        customer.submit(f"/bank/{placed}/", verdict="approve")
        assert "Thank you!" in customer.text
    customer.click("/account/")
    customer.click(f"/orders/{placed}/")
    (purchase,) = example.purchases(placed)
    assert purchase["revenue"] == {"currency": "EUR", "amount": 79.9}


def test_a_declined_payment_is_no_purchase_until_it_is_made_good(
    example: Example, customer: Browser
) -> None:
    placed = order(customer)
    customer.submit(f"/bank/{placed}/", verdict="decline")
    assert "Payment declined" in customer.text
    customer.click(f"/bank/{placed}/")
    start = now()
    customer.submit(f"/bank/{placed}/", verdict="approve")
    (purchase,) = example.purchases(placed)
    assert int(purchase["timestamp"]) >= start


def test_a_message_that_is_not_the_banks_pays_nothing(example: Example, customer: Browser) -> None:
    placed = order(customer)
    paid = PaymentNotice(placed, is_paid=True, amount=Decimal("86.40"))
    assert example.notify(paid.dumps(), secret="guessed") == 403
    assert example.notify(b"{}") == 400
    assert example.notify(b"\xff") == 400
    assert example.notify(PaymentNotice(placed, True, Decimal("0.01")).dumps()) == 409
    assert example.notify(PaymentNotice(placed, True, Decimal("NaN")).dumps()) == 409
    assert example.notify(PaymentNotice(uuid.uuid4(), True, paid.amount).dumps()) == 404
    start = now()
    assert example.notify(paid.dumps()) == 200
    (purchase,) = example.purchases(placed)
    assert int(purchase["timestamp"]) >= start


def test_nobody_sees_the_order_of_another(example: Example, customer: Browser) -> None:
    placed = order(customer)
    with closing(example.visitor()) as stranger:
        stranger.arrive(f"/orders/{placed}/", "https://www.google.com/")
        assert stranger.path == "/account/sign-in/"
        sign_up(stranger)
        with pytest.raises(BrowserError, match="404"):
            stranger.arrive(f"/orders/{placed}/", "https://www.google.com/")


PRODUCTION = """
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from shop.models import Order

call_command("migrate", verbosity=0)
order = Order.objects.create(user=User.objects.create(username="ada"), shipping=0)
for path in ("/no-such-page/", f"/bank/{order.pk}/"):
    answer = Client().get(path, headers={"host": "127.0.0.1"}, secure=True)
    print(answer.status_code, "There is nothing here" in answer.text)
"""


def test_in_production_there_is_no_test_bank_and_a_page_for_what_is_not_found(
    tmp_path: Path,
) -> None:
    done = manage(
        *("shell", "--verbosity", "0", "--command", PRODUCTION),
        DATABASE_URL=f"sqlite:///{tmp_path}/shop.sqlite3",
        DEBUG="False",
        SECRET_KEY=uuid.uuid4().hex,
        PAYMENT_SECRET=SECRET,
    )
    assert done.stdout.split("\n")[:2] == ["404 True"] * 2, done.stderr
