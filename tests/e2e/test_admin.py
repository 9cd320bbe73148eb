"""An operator looks after delivery: in light and dark, through an outage to recovery."""

from __future__ import annotations

import re
import sys
import time
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
NAME, PASSWORD = "operator", "long-summer-evenings"
DASHBOARD = "/admin/moloco_rmp/gate/"
CHECKLIST = "/admin/moloco_rmp/hourlycount/"
EVENTS = "/admin/moloco_rmp/outboxevent/"
#: All in milliseconds. The first is how often the dashboard refreshes by itself.
REFRESH, PAUSE, PATIENCE = 10_000, 100, 40_000

#: The texts of an element's own with less contrast than WCAG AA asks for.
FAINT = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const part = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("#content-main *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest("title, desc, option") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const isSvg = element.namespaceURI.endsWith("svg");
    const [a, b] = [light(channels(isSvg ? style.fill : style.color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${element.className} ${element.textContent} ${contrast}`);
  }
  return faint;
}"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with launched(chromium) as started:
        yield started


@pytest.fixture
def shop(sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the example shop, into whose admin an operator may sign in."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from demo.shop import Shop  # noqa: PLC0415

    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    variables = {
        "MOLOCO_RMP_BASE_URL": sandbox.url,
        "MOLOCO_RMP_PLATFORM_ID": "SHOP_TEST",
        "MOLOCO_RMP_API_KEY": "test-key",
    }
    with Shop(tmp_path, variables) as started:
        started.add_admin(NAME, PASSWORD)
        yield started.url


def sign_in(page: Any, shop: str) -> None:
    page.goto(shop + DASHBOARD)
    page.get_by_label("Username").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def visit(page: Any, shop: str, *paths: str) -> None:
    for path in paths:
        page.goto(shop + path)


def expect_in_time(page: Any, told: Any) -> None:
    """Let the page's clock run ahead, from refresh to refresh, until it tells something."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not told.is_visible():
        assert time.monotonic() < deadline, "it never told"
        page.clock.fast_forward(REFRESH)
        page.wait_for_timeout(PAUSE)


def fact(page: Any, name: str) -> Any:
    return page.locator(".moloco-facts div").filter(has_text=name).locator("dd")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_readable(browser: Any, sandbox: SandboxServer, shop: str, scheme: str) -> None:
    phone = {"width": 390, "height": 844}
    with opened(browser, color_scheme=scheme) as page:
        sandbox.fault({"status": 400, "count": 1})
        visit(page, shop, "/", "/category/lamps/")
        sandbox.wait_for(2, 30)
        sign_in(page, shop)
        expect(fact(page, "Rejected")).to_have_text("1", timeout=PATIENCE)
        page.goto(f"{shop}{EVENTS}?state=rejected")
        row = page.locator("#result_list tbody a").get_attribute("href")
        change = shop + row.split("?")[0]
        for url in (
            *(shop + DASHBOARD, f"{shop}{DASHBOARD}?period=week", shop + CHECKLIST),
            *(f"{shop}{EVENTS}?state=rejected", change, change.replace("change", "correct")),
        ):
            page.set_viewport_size({"width": 1280, "height": 800})
            page.goto(url)
            assert page.evaluate(FAINT) == [], url
            page.set_viewport_size(phone)
            excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(excess) <= 0, url


def test_an_outage_from_start_to_recovery(browser: Any, sandbox: SandboxServer, shop: str) -> None:
    with opened(browser) as watching, opened(browser) as page:
        watching.clock.install()
        sign_in(watching, shop)
        expect(watching.get_by_text("Nothing has been sent yet")).to_be_visible()
        visit(page, shop, "/")
        # It refreshes by itself.
        expect_in_time(watching, watching.get_by_text("Events flow"))
        sandbox.fault({"status": 503, "count": None})
        visit(page, shop, "/category/lamps/", "/category/ceramics/")
        expect_in_time(watching, watching.get_by_text("Moloco cannot be reached"))
        expect_in_time(watching, fact(watching, "Waiting").filter(has_text=re.compile("^2$")))
        sandbox.clear_faults()
        sent = len(sandbox.events())
        watching.get_by_role("button", name="Probe now").click()
        expect(watching.get_by_text("One event is tried now")).to_be_visible()
        assert sandbox.wait_for(sent + 1, 30)
        expect_in_time(watching, watching.get_by_text("Events flow"))
        expect_in_time(watching, fact(watching, "Waiting").filter(has_text=re.compile("^0$")))


def test_a_resend(browser: Any, sandbox: SandboxServer, shop: str) -> None:
    with opened(browser) as page:
        sandbox.fault({"status": 400, "body": {"message": "no such page"}, "count": 2})
        visit(page, shop, "/", "/category/lamps/")
        sandbox.wait_for(2, 30)
        sign_in(page, shop)
        expect(page.get_by_role("link", name="no such page")).to_be_visible(timeout=PATIENCE)
        page.get_by_role("link", name="no such page").click()
        expect(page.locator("#result_list tbody tr")).to_have_count(2)
        # One by hand, from its own page, and corrected.
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("link", name="Correct and resend").click()
        body = page.get_by_label("Body")
        body.fill(body.input_value().replace('"page_id"', '"page"'))
        page.get_by_role("button", name="Check and resend").click()
        expect(page.get_by_text("page_id: is required for PAGE_VIEW")).to_be_visible()
        body.fill(body.input_value().replace('"page"', '"page_id"'))
        page.get_by_role("button", name="Check and resend").click()
        expect(page.get_by_text("Corrected, and sent again.")).to_be_visible()
        assert sandbox.wait_for(3, 30)
        # The rest at once.
        page.goto(shop + DASHBOARD)
        page.get_by_role("button", name=re.compile("Resend 1 rejected")).click()
        expect(page.get_by_text("1 rejected event is sent again.")).to_be_visible()
        assert sandbox.wait_for(4, 30)
        assert [each["status"] for each in sandbox.events()] == [400, 400, 200, 200]


def test_it_stops_refreshing_when_asked(browser: Any, sandbox: SandboxServer, shop: str) -> None:
    with opened(browser) as page:
        sign_in(page, shop)
        expect(page.locator("#moloco-live")).to_have_text("Live")
        page.get_by_role("button", name="Stop refreshing").click()
        expect(page.locator("#moloco-live")).to_have_text("Paused")
        with page.expect_request(re.compile("fragment=1")):
            page.get_by_role("button", name="Refresh by itself").click()
        expect(page.locator("#moloco-live")).to_have_text("Live")


def test_without_javascript(browser: Any, sandbox: SandboxServer, shop: str) -> None:
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page, shop)
        visit(page, shop, "/", DASHBOARD)
        page.get_by_role("link", name="Refresh").click()
        page.get_by_role("button", name="Pause delivery").click()
        expect(page.get_by_text("Paused by an operator")).to_be_visible()
