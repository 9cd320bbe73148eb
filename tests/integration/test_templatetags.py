"""Template tags, in sync and async views."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.template import Context, Template
from django.test import AsyncClient, Client

from django_moloco_rmp import Money
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.testing import capture_events
from tests.integration.drops import dropped
from tests.integration.visits import configured, event_of, events_of, get

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.tracking_urls")]

PATHS = ["/tag/", "/tag-async/", "/tag-without-request/", "/tag-without-request-async/"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("tag", "event_type", "page_id"),
    [
        ("{% moloco_item_page_view lamp %}", "ITEM_PAGE_VIEW", None),
        ('{% moloco_item_page_view lamp page_id="LAMP" %}', "ITEM_PAGE_VIEW", "LAMP"),
        ('{% moloco_page_view "ABOUT" %}', "PAGE_VIEW", "ABOUT"),
        ("{% moloco_page_view %}", "PAGE_VIEW", None),
        ('{% moloco_event "ADD_TO_CART" items=lamp %}', "ADD_TO_CART", None),
    ],
)
def test_a_tag_reports_once_and_prints_nothing(
    kind: Any, path: str, tag: str, event_type: str, page_id: str | None
) -> None:
    event = event_of(kind(), path, data={"tag": tag})
    assert (event.event_type, event.page_id) == (event_type, page_id or path)
    assert get(kind(), path, data={"tag": tag}).content == b""


def test_outside_of_a_request_there_is_no_shopper() -> None:
    template = Template('{% load moloco_rmp %}{% moloco_page_view "ABOUT" %}')
    with pytest.raises(InvalidEventError, match="shopper: there is no request"):
        template.render(Context())


@pytest.mark.parametrize("path", ["/tag/", "/tag-async/"])
def test_a_tag_takes_what_track_takes(path: str) -> None:
    tag = (
        '{% moloco_event "PURCHASE" items=lamp revenue="1" event_id="order-1"'
        ' referrer_page_id="CART" decision_track_id="track-1" %}'
    )
    with configured(DEFAULT_CURRENCY="EUR"):
        event = event_of(Client(), path, data={"tag": tag})
    assert event.revenue == Money("1", "EUR")
    assert (event.id, event.referrer_page_id, event.decision_track_id) == (
        "order-1",
        "CART",
        "track-1",
    )


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ('{% moloco_event "PURCHASE" %}', "invalid"),
        ('{% moloco_event "BUY" %}', "invalid"),
        ("{% moloco_item_page_view nothing %}", "invalid"),
        ('{% moloco_event "HOME" colour="red" %}', "error"),
    ],
)
def test_a_tag_that_is_wrong_does_not_break_the_page(
    kind: Any, path: str, tag: str, reason: str
) -> None:
    with configured(RAISE_ERRORS=False), dropped() as drops:
        assert events_of(kind(), path, data={"tag": tag}) == []
    assert [told[1] for told in drops.told] == [reason]
    assert len(drops.records) == 1


def test_a_tag_in_what_is_streamed_in_an_event_loop_is_not_lost_in_silence() -> None:
    async def read() -> list[bytes]:
        tag = '{% moloco_page_view "ABOUT" %}'
        response: Any = await AsyncClient().get("/tag-streamed/", data={"tag": tag})
        return [piece async for piece in response]

    with configured(RAISE_ERRORS=False), dropped() as drops, capture_events() as events:
        assert async_to_sync(read)() == [b"<p>", b""]
    assert events == []
    ((sender, reason, detail),) = drops.told
    assert (sender, reason) == ("PAGE_VIEW", "async")
    assert "await atrack(...)" in detail


@configured(RAISE_ERRORS=False)
def test_outside_of_a_request_the_rest_of_the_template_is_rendered() -> None:
    template = Template('{% load moloco_rmp %}{% moloco_page_view "ABOUT" %}rest')

    async def render() -> str:
        return template.render(Context())

    with dropped() as drops:
        assert template.render(Context()) == "rest"
        assert asyncio.run(render()) == "rest"
    assert [told[1] for told in drops.told] == ["invalid", "async"]
