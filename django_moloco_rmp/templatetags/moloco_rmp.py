"""
Template tags: ``{% load moloco_rmp %}`` and then, where the page is rendered, one of them. They
print nothing.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from django_moloco_rmp.events import EventType
from django_moloco_rmp.shopper import Shopper, current_shopper
from django_moloco_rmp.tracking import guard, in_event_loop, track

register = template.Library()


@register.simple_tag(takes_context=True)
def moloco_event(context: Context, event_type: str, **keywords: Any) -> str:
    """Report an event: ``{% moloco_event "ADD_TO_CART" items=cart.lines %}``."""
    request = context.get("request")
    found = getattr(request, "moloco", None)
    shopper = found if isinstance(found, Shopper) else current_shopper()

    def emit() -> None:
        with guard(event_type):
            track(event_type, request=request if found is shopper else None, **keywords)

    if shopper is not None and not shopper.is_over and in_event_loop():
        # An async view renders in the event loop. The middleware emits once it is out of it.
        shopper.deferred.append(emit)
    else:
        emit()
    return ""


@register.simple_tag(takes_context=True)
def moloco_item_page_view(context: Context, item: Any, **keywords: Any) -> str:
    """Report a view of a product's page: ``{% moloco_item_page_view product %}``."""
    return moloco_event(context, EventType.ITEM_PAGE_VIEW, items=item, **keywords)


@register.simple_tag(takes_context=True)
def moloco_page_view(context: Context, page_id: str | None = None, **keywords: Any) -> str:
    """Report a view of a page: ``{% moloco_page_view "ABOUT" %}``."""
    return moloco_event(context, EventType.PAGE_VIEW, page_id=page_id, **keywords)
