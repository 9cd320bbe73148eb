"""The panel in a real toolbar, as a developer sees it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.checks.registry import registry
from django.test import AsyncClient, Client, override_settings

from tests.integration.visits import FIREFOX, GOOGLEBOT, configured
from tests.settings import INSTALLED_APPS, MIDDLEWARE

pytest.importorskip("debug_toolbar")

# In a transaction, as the toolbar's own pages need none.
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _toolbar() -> Iterator[None]:
    apps = [*INSTALLED_APPS, "django.contrib.staticfiles", "debug_toolbar"]
    others = override_settings(
        DEBUG=True,
        INTERNAL_IPS=["127.0.0.1"],
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware", *MIDDLEWARE],
        DEBUG_TOOLBAR_PANELS=["django_moloco_rmp.contrib.debug_toolbar.MolocoPanel"],
        STATIC_URL="/static/",
        ROOT_URLCONF="tests.debug_toolbar.urls",
    )
    checks = set(registry.registered_checks)
    # The toolbar reads the others when it is installed.
    with others, override_settings(INSTALLED_APPS=apps):
        yield
    # It leaves checks behind, which fail where it is no more.
    registry.registered_checks &= checks


@pytest.fixture(params=[Client, AsyncClient])
def visitor(request: pytest.FixtureRequest) -> Any:
    return request.param(headers={"user-agent": FIREFOX})


def get(client: Client | AsyncClient, path: str, **keywords: Any) -> Any:
    if isinstance(client, AsyncClient):
        return async_to_sync(client.get)(path, **keywords)
    return client.get(path, **keywords)


def panel(response: Any) -> str:
    """Return the panel's content, fetched as the toolbar's script does."""
    request_id = re.search(r'data-request-id="(\w+)"', response.content.decode())
    assert request_id is not None
    fetched = Client().get(
        "/__debug__/render_panel/",
        {"request_id": request_id[1], "panel_id": "MolocoPanel"},
    )
    content: str = fetched.json()["content"]
    return content


def side_bar(response: Any) -> str:
    """Return what stands beside the panel's name."""
    found = re.search(r"Moloco\s*<br><small>(.*?)</small>", response.content.decode(), re.S)
    assert found is not None
    return found[1]


def rows(content: str) -> list[list[str]]:
    """Return the texts of all cells, by rows."""
    return [
        [
            unescape(re.sub(r"<br>", ": ", cell)).strip()
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", content, re.S)
        if "<td" in row
    ]


def bodies(content: str) -> list[dict[str, Any]]:
    return [json.loads(unescape(text)) for text in re.findall(r"<pre>(.*?)</pre>", content, re.S)]


def reasons(content: str) -> list[list[str]]:
    """Return type and reason of what was not reported."""
    return rows(content.partition("Not reported")[2])


@pytest.mark.parametrize("path", ["/front/", "/front-async/"])
def test_the_events_of_a_request_are_shown_with_their_bodies(visitor: Any, path: str) -> None:
    response = get(visitor, path)
    assert re.fullmatch(r"1 event, [\d.]+ ms", side_bar(response))
    content = panel(response)
    ((kind, page, destination, database, milliseconds), _) = rows(content)
    assert (kind, page, destination, database) == ("HOME", "HOME", "default", "default")
    assert f"Time spent in tracking: {milliseconds} ms" in content
    assert float(milliseconds) > 0
    (body,) = bodies(content)
    assert (body["event_type"], body["page_id"]) == ("HOME", "HOME")
    assert "Not reported" not in content


@pytest.mark.parametrize("path", ["/several/", "/several-async/"])
@configured(RAISE_ERRORS=False)
def test_what_was_dropped_is_shown_and_all_of_it_is_escaped(visitor: Any, path: str) -> None:
    response = get(visitor, path)
    assert re.fullmatch(r"1 event, 1 not reported, [\d.]+ ms", side_bar(response))
    content = panel(response)
    assert "<script" not in content
    assert bodies(content)[0]["page_id"] == "<script>alert('é')</script>"
    assert reasons(content) == [
        [
            "PURCHASE",
            "The event is invalid.: items: are required for PURCHASE. Pass at least one item.",
        ]
    ]


def test_no_identifier_is_shown_raw(visitor: Any) -> None:
    visitor.cookies["moloco_pid"] = browser_id = "0b5b1c1c-9d2e-4d4f-8c49-3b8b1f6c8a11"
    content = panel(get(visitor, "/front/"))
    assert len(bodies(content)[0]["device"]["persistent_id"]) == 64
    assert browser_id not in content


@pytest.mark.parametrize(
    ("headers", "keys", "reason"),
    [
        (
            {"user-agent": GOOGLEBOT},
            {},
            "The user agent is that of a bot, see MOLOCO_RMP['IGNORE_BOTS'].",
        ),
        (
            {},
            {"CONSENT": lambda request: None},
            "MOLOCO_RMP['CONSENT'] said that the shopper is not tracked.",
        ),
        ({"sec-purpose": "prefetch"}, {}, "The browser fetched the page ahead of time."),
        ({}, {"ENABLED": False}, "MOLOCO_RMP['ENABLED'] is False."),
    ],
    ids=["bot", "consent", "prefetch", "off"],
)
def test_why_nothing_is_reported(
    visitor: Any, headers: dict[str, str], keys: dict[str, Any], reason: str
) -> None:
    with configured(**keys):
        content = panel(get(visitor, "/front/", headers=headers))
    assert "This request reported no event." in content
    assert reasons(content) == [["HOME", reason]]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/quiet/", []),
        (
            "/p/none/",
            [
                [
                    "ITEM_PAGE_VIEW",
                    "The response has status 404, and a decorator reports only 2xx.",
                ]
            ],
        ),
        (
            "/found/",
            [
                ["LAND", "The shopper did not come from another site."],
                ["SEARCH", "The query is blank."],
            ],
        ),
        ("/found/?q=lamp", [["LAND", "The shopper did not come from another site."]]),
        ("/class/", [["LAND", "The shopper did not come from another site."]]),
        ("/p/lamp/", []),
        ("/from-template/", []),
    ],
)
def test_what_a_decorator_did_not_report_is_told(
    visitor: Any, path: str, told: list[list[str]]
) -> None:
    assert reasons(panel(get(visitor, path))) == told


def test_a_response_that_another_middleware_made_is_not_the_views(visitor: Any) -> None:
    soft = ["tests.debug_toolbar.urls.soft_404"]
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, *soft]):
        response = get(visitor, "/p/none/")
    assert response.status_code == 200
    assert reasons(panel(response)) == [
        ["ITEM_PAGE_VIEW", "The decorated view did not return a response with status 2xx."]
    ]


def test_a_page_that_is_not_in_the_urlconf_promises_nothing(visitor: Any) -> None:
    response = get(visitor, "/nowhere/")
    assert response.status_code == 404
    assert rows(panel(response)) == []


def test_the_browser_is_told_the_time(visitor: Any) -> None:
    header = get(visitor, "/front/").headers["Server-Timing"]
    assert re.fullmatch(r'MolocoPanel_tracking;dur=[\d.]+;desc="Moloco tracking"', header)


def test_requests_at_the_same_time_do_not_mix() -> None:
    """The second in another thread, in the middle of the first."""
    outer = Client(headers={"user-agent": FIREFOX})
    shown: list[str] = []

    def visit() -> None:
        shown.append(panel(get(Client(headers={"user-agent": FIREFOX}), "/quiet/")))

    def consent(request: Any) -> str:
        # In the middle of the other request's track().
        if request.path == "/front/":
            thread = threading.Thread(target=visit)
            thread.start()
            thread.join()
        return "STANDARD"

    with configured(CONSENT=consent):
        content = panel(get(outer, "/front/"))
    assert len(bodies(content)) == 1
    assert len(shown) == 1
    assert bodies(shown[0]) == []


def test_where_the_panel_is_off_nothing_is_kept(visitor: Any) -> None:
    visitor.cookies["djdtMolocoPanel"] = "off"
    response = get(visitor, "/front/")
    assert "Server-Timing" not in response.headers
    with configured():
        assert get(Client(REMOTE_ADDR="192.0.2.1"), "/front/").status_code == 200
