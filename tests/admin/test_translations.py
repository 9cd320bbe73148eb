"""Every text of the admin is translatable: in a made-up language each one is in brackets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from gettext import NullTranslations
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import translation
from django.utils.translation import trans_real

from django_moloco_rmp.counts import HOUR
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.protocol import SECOND, Reason
from tests.admin.pages import (
    CHECKLIST,
    DASHBOARD,
    EVENTS,
    SMALL,
    SMALL_DASHBOARD,
    act,
    count,
    kept,
    page,
)
from tests.metrics.samples import circuit

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

State = OutboxEvent.State
LANGUAGE = "xx"
#: What is no word of ours: event types, what the tests' own rows hold, and names.
DATA = re.compile(
    r"[A-Z]+_[A-Z_]+|HOME|LAND|SEARCH|PURCHASE|SHOP_TEST|default|(?:cart|operator|viewer)-\d+"
)


class Brackets(NullTranslations):
    """A language in which each text is the same, in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message.rpartition(trans_real.CONTEXT_SEPARATOR)[2]}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)

    def to_language(self) -> str:
        return LANGUAGE


class Texts(HTMLParser):
    """What a page has to read, also for a screen reader and for its scripts."""

    ATTRIBUTES = frozenset({"title", "placeholder", "aria-label"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._is_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_code = tag in {"script", "style"}
        for name, value in attrs:
            is_script_text = name.startswith("data-") and " " in (value or "")
            is_label = name == "value" and ("type", "submit") in attrs
            if value and (name in self.ATTRIBUTES or is_script_text or is_label):
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._is_code = False

    def handle_data(self, data: str) -> None:
        if not self._is_code:
            self.found.append(data)


def untranslated(response: HttpResponse) -> list[str]:
    """The texts of a page with words that are in no brackets."""
    assert response.status_code == 200
    html = response.content.decode()
    assert "⟦" in html
    inner = re.compile("⟦[^⟦⟧]*⟧")
    while inner.search(html):
        html = inner.sub("", html)
    texts = Texts()
    texts.feed(html)
    return [text.strip() for text in texts.found if re.search(r"[^\W\d_]{2}", DATA.sub("", text))]


@pytest.fixture(autouse=True)
def _brackets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(trans_real._translations, LANGUAGE, Brackets())  # type: ignore[attr-defined]
    with translation.override(LANGUAGE):
        yield


def rejected(number: int, **columns: Any) -> OutboxEvent:
    return kept(f"cart-{number}", last_error="17", payload="{}", identifier="", **columns)


def failing(reason: Reason, failures: int) -> Callable[[], None]:
    return lambda: circuit(failures=failures, since=9, reason=reason.value)


def paused() -> None:
    circuit(paused=True)


def slowed_down(held: Held) -> None:
    held.pace = type(held.pace)(rate=7_500, ceiling=30_000, changed_at=held.now)


def flowing() -> None:
    Gate("default").change(slowed_down)
    now = Gate("default").look().now
    GateRow.objects.update(relay_seen_at=now, last_success_at=now - SECOND, delivered=1)


def silent() -> None:
    GateRow.objects.update(relay_seen_at=Gate("default").look().now - HOUR, delivered=1)


@pytest.mark.parametrize(
    "stand",
    [
        *(flowing, paused, silent),
        *(failing(reason, failures) for reason in Reason if reason for failures in (1, 6)),
    ],
)
@pytest.mark.parametrize("relay", ["thread", "command", "off"])
def test_the_dashboard(operator: Client, stand: Callable[[], None], relay: str) -> None:
    with override_settings(MOLOCO_RMP={**django_settings.MOLOCO_RMP, "RELAY": relay}):
        assert untranslated(operator.get(DASHBOARD)) == []
        stand()
        assert untranslated(operator.get(DASHBOARD)) == []
        for number in range(6):
            rejected(number, last_status=400 + number)
            kept(f"cart-{number + 10}", State.PENDING)
            count("HOME", "delivered", 3, hours_ago=number)
        for url in (DASHBOARD, f"{DASHBOARD}?period=week", SMALL_DASHBOARD):
            assert untranslated(operator.get(url)) == []


@override_settings(MOLOCO_RMP={"ENABLED": False})
def test_a_dashboard_that_is_switched_off(operator: Client) -> None:
    assert untranslated(operator.get(DASHBOARD)) == []


@pytest.mark.parametrize("sample", [(0, 0, 0), (500, 300, 5), (500, 1, 500)])
def test_the_checklist(operator: Client, sample: tuple[int, int, int]) -> None:
    assert untranslated(operator.get(CHECKLIST)) == []
    names = ("sample_events", "sample_identifiers", "sample_most")
    GateRow.objects.update(**dict(zip(names, sample, strict=True)))
    count("HOME", "delivered", 3, last_event_id="cart-1")
    assert untranslated(operator.get(CHECKLIST)) == []
    count("ITEM_PAGE_VIEW", "delivered", 999, with_referrer=1, with_page_id=999)
    GateRow.objects.update(last_success_at=1, reason="configuration")
    assert untranslated(operator.get(CHECKLIST)) == []


def test_the_list(operator: Client) -> None:
    for number in range(6):
        rejected(number, event_type="HOME" if number % 2 else "PURCHASE")
    for url in (EVENTS, f"{EVENTS}?state=rejected", f"{EVENTS}?q=nothing", f"{SMALL}?type=HOME"):
        response = operator.get(url)
        assert untranslated(response) == []
    assert untranslated(operator.get(SMALL + response.context["cl"].window.older)) == []
    assert untranslated(operator.get("/admin/moloco_rmp/")) == []


def test_one_event(operator: Client, viewer: Client) -> None:
    later = DatabaseNow() + timedelta(hours=1)
    pending = {"payload": "{}", "identifier": ""}
    for row in (
        rejected(1),
        kept("cart-2", State.PENDING, **pending),
        kept("cart-3", State.PENDING, available_at=later, last_error="17", **pending),
        kept("cart-4", State.PENDING, available_at=later, lease_token="x", **pending),
        kept("cart-5", State.SENT, **pending | {"payload": ""}),
        kept("cart-6", **pending | {"payload": "[", "last_error": ""}),
    ):
        for client in (operator, viewer):
            assert untranslated(client.get(page(row))) == []


@pytest.mark.parametrize("action", ["resend", "discard"])
def test_actions(operator: Client, action: str) -> None:
    url = SMALL
    assert untranslated(act(operator, action, url=url, follow=True)) == []
    for number in range(4):
        rejected(number)
    # Discarding asks first; both take another step, and are done.
    for fields in ({}, {"confirmed": "yes"}, {"confirmed": "yes"}):
        assert untranslated(act(operator, action, url=url, follow=True, **fields)) == []
    assert untranslated(operator.get("/admin/")) == []


@pytest.mark.parametrize("button", ["pause", "resume", "probe", "explode"])
def test_buttons(operator: Client, button: str) -> None:
    response = operator.post(f"{DASHBOARD}{button}/", follow=True)
    assert untranslated(response) == []


def test_a_correction(operator: Client) -> None:
    row = rejected(1)
    assert untranslated(operator.get(page(row, "correct"))) == []
    response = operator.post(page(row, "correct"), {"body": "{}", "seen": "x"})
    # The rule that is broken is in the words of the library's own errors, as data of the sentence.
    assert "event_type" in response.content.decode()
    assert untranslated(response) == []
    assert untranslated(operator.get(page(row, "history"))) == []
    row.delete()
    response = operator.get(page(row, "correct"), follow=True)
    assert untranslated(response) == []
