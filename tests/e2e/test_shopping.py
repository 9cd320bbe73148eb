"""A person buys something in the example shop; the sandbox's page shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.browser import launched, opened

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "example_project"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
EMAIL, PASSWORD = "ada.byron@example.com", "long-summer-evenings"
LAMP = "PRODUCT_DETAIL_PAGE:sund-dome-lamp"
VASE = "PRODUCT_DETAIL_PAGE:bolge-bottle-vase"

#: Type, page and referrer of each event, in the order of the walk.
WALK = [
    ("HOME", "HOME", None),
    ("HOME", "HOME", "ACCOUNT_PAGE"),
    ("SEARCH", "SEARCH_PAGE", "HOME"),
    ("PAGE_VIEW", "CATEGORY_HOME_PAGE:lamps", "SEARCH_PAGE"),
    ("ITEM_PAGE_VIEW", LAMP, "CATEGORY_HOME_PAGE:lamps"),
    ("ADD_TO_CART", LAMP, None),
    ("PAGE_VIEW", "CART_PAGE", LAMP),
    ("PAGE_VIEW", "CATEGORY_HOME_PAGE:ceramics", "CART_PAGE"),
    ("ITEM_PAGE_VIEW", VASE, "CATEGORY_HOME_PAGE:ceramics"),
    ("ADD_TO_WISHLIST", VASE, None),
    ("PAGE_VIEW", "WISHLIST_PAGE", VASE),
    ("PAGE_VIEW", "CART_PAGE", "WISHLIST_PAGE"),
    ("PAGE_VIEW", "CHECKOUT_PAGE", "LOGIN_PAGE"),
    ("PURCHASE", "CHECKOUT_PAGE", "CHECKOUT_PAGE"),
    ("PAGE_VIEW", "ORDER_SUMMARY_PAGE", "PAYMENT_PAGE"),
    ("HOME", "HOME", "ORDER_SUMMARY_PAGE"),
]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with launched(chromium) as started:
        yield started


@pytest.fixture
def shop(sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the example shop, which sends its events to the sandbox."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from demo.shop import Shop  # noqa: PLC0415

    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    variables = {
        "MOLOCO_RMP_BASE_URL": sandbox.url,
        "MOLOCO_RMP_PLATFORM_ID": "SHOP_TEST",
        "MOLOCO_RMP_API_KEY": "test-key",
    }
    with Shop(tmp_path, variables) as started:
        yield started.url


def buy(page: Any, shop: str) -> None:
    """Sign up and out, and then from the home page to a sign-in, to an order, and home again."""
    page.goto(shop)
    yours = page.get_by_role("navigation", name="Yours")
    yours.get_by_role("link", name="Sign in").click()
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password:", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("searchbox").fill("lamp")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Lamps").click()
    page.get_by_role("link", name="Sund dome lamp").first.click()
    page.get_by_label("Quantity").select_option("2")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Ceramics").click()
    page.get_by_role("link", name="Bølge bottle vase").first.click()
    page.get_by_role("button", name="Add to wish list").click()
    yours.get_by_role("link", name="Cart").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    for field, value in (
        ("Name", "Ada Byron"),
        ("Street", "Havnegade 12"),
        ("Postcode", "1058"),
        ("City", "Copenhagen"),
    ):
        page.get_by_label(field).fill(value)
    page.get_by_role("button", name="Place the order and pay").click()
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    page.get_by_role("link", name="Back to the shop").click()


def seen(sandbox: SandboxServer) -> list[tuple[str, str, str | None]]:
    """Type, page and referrer of what arrived, by the time it happened."""
    assert sandbox.wait_for(len(WALK), 30)
    bodies = sorted((each["body"] for each in sandbox.events()), key=lambda b: b["timestamp"])
    return [(b["event_type"], b["page_id"], b.get("referrer_page_id")) for b in bodies]


@pytest.mark.parametrize(
    "options",
    [{}, PHONE, {"java_script_enabled": False}],
    ids=["desk", "phone", "without JavaScript"],
)
def test_what_a_person_does_arrives(
    browser: Any, sandbox: SandboxServer, shop: str, options: dict[str, Any]
) -> None:
    with opened(browser, **options) as page:
        buy(page, shop)
    assert seen(sandbox) == WALK
    (order,) = (e["body"] for e in sandbox.events() if e["body"]["event_type"] == "PURCHASE")
    assert order["revenue"] == {"currency": "EUR", "amount": 159.8}
    assert [(item["id"], item["quantity"]) for item in order["items"]] == [("LMP-102", 2)]
    assert {each["status"] for each in sandbox.events()} == {200}
    # Signing in makes a user of the browser, and does not change who the browser is.
    signed_in = {"CHECKOUT_PAGE", "ORDER_SUMMARY_PAGE"}
    bodies = [each["body"] for each in sandbox.events()]
    for body in bodies:
        is_after = body["page_id"] in signed_in or body.get("referrer_page_id") in signed_in
        assert ("user_id" in body) is is_after
    assert len({body["device"]["persistent_id"] for body in bodies}) == 1
    assert len({body["user_id"] for body in bodies if "user_id" in body}) == 1


def test_the_sandbox_shows_it_as_it_happens(
    browser: Any, sandbox: SandboxServer, shop: str
) -> None:
    with opened(browser) as watching, opened(browser) as page:
        watching.goto(sandbox.url)
        page.goto(shop)
        expect(watching.locator(".type")).to_have_text(["HOME"])
        buy(page, shop)
        expect(watching.locator("#received")).to_have_text(str(len(WALK) + 1))
        expect(watching.locator("#duplicates")).to_have_text("0")
        expect(watching.locator("#refused")).to_have_text("0")
        columns = (".type", ".page .value", ".referrer")
        shown = zip(*(watching.locator(each).all_text_contents() for each in columns), strict=True)
        told = [("HOME", "HOME", ""), *((*names, origin or "") for *names, origin in WALK)]
        assert sorted(shown) == sorted(told)
        row = watching.locator("tbody").filter(has_text="PURCHASE")
        expect(row.locator(".badge")).to_have_text("✓ 200")
        expect(row.locator(".shopper em")).to_have_text(["user", "browser"])
        expect(row.locator(".items span")).to_have_text(
            ["LMP-102 \N{MULTIPLICATION SIGN} 2 EUR 79.90"]
        )
        expect(row.locator(".revenue .value")).to_have_text("EUR 159.80")
        expect(row.locator(".revenue small")).to_have_text("shipping EUR 6.50")


PAGES = [
    *("/", "/about/", "/category/lamps/", "/product/sund-dome-lamp/"),
    *("/cart/", "/wishlist/", "/account/", "/account/sign-in/", "/account/sign-up/"),
    *("/search/?q=lamp", f"/search/?q={'x' * 100}"),
]


def test_no_page_is_wider_than_a_phone(browser: Any, sandbox: SandboxServer, shop: str) -> None:
    with opened(browser, **PHONE) as page:
        buy(page, shop)
        for path in PAGES:
            page.goto(shop + path)
            excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(excess) <= 0, path
