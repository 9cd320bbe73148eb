"""The sandbox's page in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.browser import launched, opened
from tests.sandbox.caller import Caller
from tests.sandbox.vectors import own_body

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with launched(chromium) as started:
        yield started


@pytest.fixture
def page(browser: Any, sandbox: SandboxServer) -> Iterator[Any]:
    """The page, live."""
    with opened(browser) as window:
        window.goto(sandbox.url)
        expect(window.locator("#connection")).to_have_text("Live")
        yield window


def rows(page: Any) -> Any:
    return page.locator("tbody")


def total(page: Any, name: str) -> Any:
    return page.locator(f"#{name}")


def test_events_appear_without_a_reload(page: Any, caller: Caller) -> None:
    expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
    caller.post()
    expect(rows(page)).to_have_count(1)
    caller.post(own_body({"body": "land"}))
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_hidden()


def test_the_newest_is_on_top(page: Any, caller: Caller) -> None:
    for name in ("land", "home", "search"):
        caller.post(own_body({"body": name}))
    expect(page.locator(".type")).to_have_text(["SEARCH", "HOME", "LAND"])


def test_an_order_at_a_glance(page: Any, caller: Caller) -> None:
    body = own_body({"body": "order"})
    body |= {"page_id": "THANKS", "referrer_page_id": "CHECKOUT"}
    body["device"] = {"persistent_id": "abcdef0123456789"}
    caller.post(body)
    row = rows(page).first
    expect(row.locator(".badge")).to_have_text("✓ 200")
    expect(row.locator(".type")).to_have_text("PURCHASE")
    expect(row.locator(".shopper span")).to_have_text(["userc0ffee", "browserabcdef01…"])
    expect(row.locator(".page .value")).to_have_text("THANKS")
    expect(row.locator(".referrer")).to_have_text("CHECKOUT")
    expect(row.locator(".items span")).to_have_text(["lamp-3 \N{MULTIPLICATION SIGN} 2 SEK 349.50"])
    expect(row.locator(".revenue .value")).to_have_text("SEK 699.00")
    expect(row.locator(".revenue small")).to_have_text("shipping SEK 0.00")
    expect(row.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    expect(row.locator(".time small")).to_have_text(re.compile(r"^sent \d+ days late$"))


def test_a_search_at_a_glance(page: Any, caller: Caller) -> None:
    items = [{"id": f"lamp-{number}"} for number in range(5)]
    caller.post(own_body({"body": "search", "set": {"items": items}}))
    expect(rows(page).locator(".items > span")).to_have_text(
        ["“desk lamp”", "lamp-0", "lamp-1", "lamp-2", "and 2 more"]
    )


def test_an_identifier_of_old(page: Any, caller: Caller) -> None:
    body = own_body({"body": "home", "drop": ["user_id"], "set": {"session_id": "s-1"}})
    caller.post(body)
    expect(rows(page).locator(".shopper span")).to_have_text(["sessions-1"])


def test_a_refused_event_says_why(page: Any, caller: Caller) -> None:
    caller.post(own_body({"body": "page", "drop": ["page_id"]}))
    expect(rows(page).locator(".badge")).to_have_text("✕ 400")
    expect(rows(page).locator(".message")).to_have_text("missing page_id")


def test_a_duplicate_is_marked(page: Any, caller: Caller) -> None:
    caller.post()
    caller.post()
    caller.post(own_body({"body": "land"}))
    marks = page.locator(".duplicate")
    expect(marks).to_have_count(3)
    for position, visible in enumerate([False, True, False]):
        expect(marks.nth(position)).to_be_visible(visible=visible)


def test_events_are_counted(page: Any, caller: Caller) -> None:
    caller.post()
    caller.post()
    caller.post({})
    for name, count in (("received", 3), ("accepted", 2), ("refused", 1), ("duplicates", 1)):
        expect(total(page, name)).to_have_text(str(count))
    expect(page).to_have_title("(3) User events: sandbox")


def test_markup_in_values_is_text(page: Any, caller: Caller) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    body = own_body({"body": "cart"})
    body |= dict.fromkeys(("user_id", "page_id", "referrer_page_id", "search_query"), attack)
    body["items"] = [{"id": attack, "price": {"currency": attack, "amount": 1}}]
    body["revenue"] = {"currency": attack, "amount": attack}
    caller.post(body)
    caller.post(body | {"event_type": attack})
    caller.session.post(caller.events_url(), data=attack.encode(), timeout=10)
    expect(rows(page)).to_have_count(3)
    for button in page.get_by_role("button", name="Body of").all():
        button.click()
    expect(rows(page).nth(2).locator(".page .value")).to_have_text(attack)
    expect(rows(page).nth(0).locator("pre")).to_have_text(attack)
    expect(page.locator("main script, main img")).to_have_count(0)


@pytest.mark.parametrize(
    "body",
    [
        [1, 2],
        "text",
        7,
        {"items": [None, 1, "x", {}], "revenue": [], "device": "x", "user_id": {}},
        {"event_type": ["HOME"], "revenue": {"currency": [1], "amount": {}}, "items": {}},
        {"event_type": "constructor", "timestamp": "soon", "revenue": {"currency": "ZZZ"}},
        {"revenue": {"currency": "ZZZ", "amount": 1e300}, "shipping_charge": {"amount": 5}},
    ],
)
def test_any_body_has_a_row(page: Any, caller: Caller, body: Any) -> None:
    caller.post(body)
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#connection")).to_have_text("Live")


def test_the_body_is_shown_by_keyboard(page: Any, caller: Caller) -> None:
    caller.post(own_body({"body": "land"}))
    button = page.get_by_role("button", name="Body of LAND at")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    body = page.get_by_role("region", name="Body of LAND at")
    expect(body).to_contain_text('"referrer_page_id": "blog.example/garden"')
    page.keyboard.press("Enter")
    expect(body).to_be_hidden()


def test_the_body_is_shown_by_a_click_on_the_row(page: Any, caller: Caller) -> None:
    caller.post()
    rows(page).locator(".badge").click()
    expect(rows(page).locator("pre")).to_be_visible()
    rows(page).locator("pre").click()
    expect(rows(page).locator("pre")).to_be_visible()


def test_an_open_body_stays_open_when_others_arrive(page: Any, caller: Caller) -> None:
    caller.post(own_body({"body": "land"}))
    button = page.get_by_role("button", name="Body of LAND at")
    button.click()
    caller.post()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1).locator("pre")).to_be_visible()
    expect(button).to_be_focused()


def test_arrivals_are_announced(page: Any, caller: Caller) -> None:
    caller.post()
    expect(page.locator("#news")).to_have_role("status")
    expect(page.locator("#news")).to_have_text("1 received, new: HOME")


def test_clearing(page: Any, caller: Caller) -> None:
    expect(page.get_by_role("button", name="Clear")).to_be_disabled()
    caller.post()
    page.get_by_role("button", name="Clear").click()
    expect(rows(page)).to_have_count(0)
    expect(total(page, "received")).to_have_text("0")
    assert caller.sandbox.events() == []


def test_scripted_faults_are_shown(page: Any, caller: Caller) -> None:
    caller.sandbox.fault({"status": 503, "count": 2})
    caller.sandbox.fault({"drop": "after", "count": None})
    expect(page.locator("#fault-list")).to_have_text(
        "503 Service Unavailable \N{MULTIPLICATION SIGN} 2;"
        " connection dropped after accepting (until deleted)"
    )
    caller.sandbox.clear_faults()
    expect(page.locator("#faults")).to_be_hidden()


def test_dropped_connections_are_shown(page: Any, caller: Caller) -> None:
    caller.sandbox.fault({"drop": "before"})
    with pytest.raises(OSError, match="closed connection"):
        caller.post()
    expect(rows(page).locator(".badge")).to_have_text("✕ dropped")


def test_how_the_sandbox_was_started_is_shown(browser: Any) -> None:
    with SandboxServer("LAMPS", strict=True, max_qps=30) as sandbox:
        context = browser.new_context()
        page = context.new_page()
        page.goto(sandbox.url)
        expect(page.locator(".facts li")).to_have_text(
            ["platform LAMPS", "strict rules", "at most 30 a second"]
        )
        expect(page.locator("#empty")).to_contain_text(f'"BASE_URL": "{sandbox.url}"')
        expect(page.locator("#empty")).to_contain_text('"PLATFORM_ID": "LAMPS"')
        context.close()


def test_a_lost_connection_is_told_and_mended(browser: Any, caller: Caller) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(caller.sandbox.url)
    caller.post()
    expect(rows(page)).to_have_count(1)
    caller.sandbox.stop()
    expect(page.get_by_role("alert")).to_contain_text("Connection lost")
    expect(page.locator("#connection")).to_have_text("Connection lost")
    expect(rows(page)).to_have_count(1)
    caller.sandbox.start()
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#lost")).to_be_hidden()
    context.close()


def test_no_more_rows_than_a_browser_can_bear(page: Any, caller: Caller) -> None:
    for _ in range(520):
        caller.post()
    expect(total(page, "received")).to_have_text("520")
    expect(rows(page)).to_have_count(500)
    expect(page.locator("#older")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1360])
def test_nothing_sticks_out(page: Any, caller: Caller, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    body = own_body({"body": "order", "set": {"page_id": "x" * 128, "items.0.id": "y" * 128}})
    caller.post(body | {"revenue": {"currency": "SEK", "amount": 1234567890.5}})
    expect(rows(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
