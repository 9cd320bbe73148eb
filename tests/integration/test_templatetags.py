"""Template tags, in sync and async views."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Template
from django.test import AsyncClient, Client

from django_moloco_rmp.exceptions import InvalidEventError
from tests.integration.visits import event_of, get

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.tracking_urls")]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("path", ["/tag/", "/tag-async/", "/tag-without-request/"])
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
