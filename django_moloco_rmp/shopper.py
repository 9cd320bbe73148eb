"""
The shopper: who they are, on which device and page, asked only when an event is emitted.

:class:`Shopper` is bound to a request and looks nothing up by itself; :class:`Snapshot` is what it
finds, complete and hashed, and all that events are made from.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

from django_moloco_rmp.conf import Destination, Settings, get_settings, raises_errors
from django_moloco_rmp.destinations import chosen
from django_moloco_rmp.devices import UserAgent, clean_user_agent, parse_user_agent
from django_moloco_rmp.events import (
    RESERVED_USER_IDS,
    ChannelType,
    Device,
    PersonalizationMode,
)
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.hooks import ask
from django_moloco_rmp.identity import (
    client_ip,
    derive_key,
    hash_identifier,
    is_browser_id,
    new_browser_id,
    truncate_ip,
)
from django_moloco_rmp.pages import current_page, referrer_page

logger = logging.getLogger("django_moloco_rmp")

_CONSENT = "the callable in MOLOCO_RMP['CONSENT']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """
    A shopper at one moment: hashed identifiers, device and pages, as events carry them.

    ``dropped`` is the reason why nothing is emitted for this shopper, else None. Shoppers in the
    mode ID_LESS have no identifier; each of their events gets a random one. ``destination`` and
    ``domain`` are told of one that is kept: they are chosen for each event else.
    """

    dropped: str | None = None
    destination: str | None = None
    mode: str | None = None
    channel_type: str = ChannelType.SITE.value
    domain: str | None = None
    user_id: str | None = field(default=None, repr=False)
    persistent_id: str | None = field(default=None, repr=False)
    custom_id: str | None = field(default=None, repr=False)
    os: str | None = None
    os_version: str | None = None
    model: str | None = None
    ua: str | None = field(default=None, repr=False)
    language: str | None = None
    ip: str | None = field(default=None, repr=False)
    page_id: str | None = None
    referrer_page_id: str | None = None

    def identifiers(self) -> dict[str, str]:
        """Return ``user_id``, ``persistent_id`` and ``custom_id``, those that there are."""
        if self.mode == PersonalizationMode.ID_LESS:
            return {"custom_id": new_browser_id()}
        found = {
            "user_id": self.user_id,
            "persistent_id": self.persistent_id,
            "custom_id": self.custom_id,
        }
        return {name: value for name, value in found.items() if value is not None}

    def device(self, persistent_id: str | None) -> Device:
        """Return the device for an event."""
        return Device(
            os=self.os,
            os_version=self.os_version,
            model=self.model,
            ua=self.ua,
            language=self.language,
            ip=self.ip,
            persistent_id=persistent_id,
        )

    def freeze(self) -> dict[str, str]:
        """Return the snapshot as a JSON-safe dict, without what is absent."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def thaw(cls, frozen: object) -> Self:
        """
        Return the snapshot that :meth:`freeze` made a dict of.

        :raises InvalidEventError: it is no such dict
        """
        known = {each.name for each in fields(cls)}
        if (
            not isinstance(frozen, Mapping)
            or not known.issuperset(frozen)
            or not all(isinstance(value, str) for value in frozen.values())
        ):
            raise InvalidEventError(
                "shopper",
                "is not what request.moloco.freeze() returned",
                "Keep that dict as it is, in a JSONField for example, and pass it.",
            )
        return cls(**frozen)


class Shopper:
    """The shopper behind a request: ``request.moloco``."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._sets_cookie = False
        self._is_shown = False
        self._has_cookie = False
        #: What has to wait for the end of the request, see the template tags.
        self.deferred: list[Callable[[], object]] = []
        #: Whether the middleware is through with the request; a response may be streamed after.
        self.is_over = False

    def identifiers(self) -> dict[str, str]:
        """
        Return exactly the identifiers that this shopper's events carry, for Decision API calls.

        Empty if nothing may be emitted for the shopper.

        :raises InvalidEventError: USER_ID or CONSENT failed, and RAISE_ERRORS is set
        """
        snapshot = self._served(self.snapshot)
        if snapshot.dropped is not None:
            return {}
        self.emitted()
        self._is_shown = True
        return snapshot.identifiers()

    def freeze(self) -> dict[str, str]:
        """
        Return the shopper as a small JSON-safe dict, to be kept on the order and passed to
        :func:`django_moloco_rmp.track` where there is no request of theirs any more.

        :raises InvalidEventError: USER_ID, CONSENT or DESTINATION failed, and RAISE_ERRORS is set
        """
        snapshot = self._served(self._kept)
        if snapshot.dropped is None:
            self.emitted()
        return snapshot.freeze()

    async def aidentifiers(self) -> dict[str, str]:
        """:meth:`identifiers` for async code."""
        return await sync_to_async(self.identifiers)()

    async def afreeze(self) -> dict[str, str]:
        """:meth:`freeze` for async code."""
        return await sync_to_async(self.freeze)()

    def snapshot(self, *, cannot_wait: bool = False) -> Snapshot:
        """
        Return who the shopper is now; a login in the same request counts at once.

        :param cannot_wait: inside of an event loop: leave out what would have to be looked up
        """
        settings = get_settings()
        if not settings.enabled:
            return Snapshot(dropped="disabled")
        dropped = self._not_a_shopper(settings)
        if dropped is not None:
            return Snapshot(dropped=dropped)
        tracked, mode = self._consent(settings)
        if not tracked:
            return Snapshot(dropped="consent")
        agent = self._user_agent
        parsed = self._parsed_agent
        id_less = mode is PersonalizationMode.ID_LESS
        identifiers = {} if id_less else self._identifiers(settings, cannot_wait)
        if not identifiers and not id_less:
            return Snapshot(dropped="unidentified")
        return Snapshot(
            mode=None if mode is None else mode.value,
            channel_type=_channel(settings, parsed.is_mobile),
            os=parsed.os,
            os_version=parsed.os_version,
            model=parsed.model,
            language=self._language(),
            page_id=current_page(self._request, settings.pages),
            referrer_page_id=referrer_page(self._request, settings.pages),
            # An address and a full user agent tell one shopper from another, too.
            ua=None if id_less else agent,
            ip=None if id_less else self._ip(settings),
            **identifiers,
        )

    def destination(self) -> Destination | None:
        """
        Return where the shopper's events go now, None if that is not told.

        :raises InvalidEventError: as for :func:`~django_moloco_rmp.destinations.chosen`
        """
        return chosen(get_settings(), self._request)

    def _kept(self) -> Snapshot:
        snapshot = self.snapshot()
        if snapshot.dropped is not None:
            return snapshot
        try:
            destination = self.destination()
        except InvalidEventError as error:
            if raises_errors():
                raise
            logger.error("No destination: %s", error, extra={"reason": "invalid"})
            # No other one may get it: whoever reports the order has to say.
            return replace(snapshot, destination="")
        if destination is None:
            return snapshot
        # An only one may get another name while orders are kept.
        is_only = len(get_settings().destinations) == 1
        name = None if is_only else destination.name
        return replace(snapshot, destination=name, domain=destination.domain)

    def _served(self, look: Callable[[], Snapshot]) -> Snapshot:
        """Return what a look finds, for views: unless RAISE_ERRORS is set, a failure is nobody."""
        try:
            return look()
        except Exception as error:
            if raises_errors():
                raise
            is_explained = isinstance(error, InvalidEventError | ImproperlyConfigured)
            logger.error(
                "No shopper: %s", error, exc_info=not is_explained, extra={"reason": "invalid"}
            )
            return Snapshot(dropped="invalid")

    def emitted(self) -> None:
        """Note that the shopper's identifiers have been used: the browser shall keep its id."""
        self._sets_cookie = True

    def finish(self, response: HttpResponseBase) -> None:
        """Set the browser's cookie, if its id is new and was used."""
        self.is_over = True
        if self._is_shown:
            # Or a shared cache would give one shopper's identifiers to all.
            patch_vary_headers(response, ("Cookie",))
        if not self._sets_cookie or "_browser_id" not in self.__dict__:
            return
        browser_id, is_new = self._browser_id
        settings = get_settings()
        if settings.persistent_id_cookie is None or not is_new:
            return
        response.set_cookie(
            settings.persistent_id_cookie,
            browser_id,
            max_age=settings.persistent_id_cookie_age,
            secure=self._request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
        self._has_cookie = True
        # Or it would give one browser's id to all.
        patch_vary_headers(response, ("Cookie",))

    def _not_a_shopper(self, settings: Settings) -> str | None:
        if self._request.method == "HEAD":
            return "head"
        meta = self._request.META
        for name in ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE"):
            if name in meta and "prefetch" in meta[name][:100].lower():
                return "prefetch"
        return "bot" if settings.ignore_bots and self._parsed_agent.is_bot else None

    def _consent(self, settings: Settings) -> tuple[bool, PersonalizationMode | None]:
        """Return whether the shopper may be tracked, and in which mode; None is the platform's."""
        mode: PersonalizationMode | None = None
        if settings.consent is not None:
            mode = ask("personalization_mode", _CONSENT, settings.consent, self._request, _mode)
            if mode is None:
                return False, None
        if self._request.META.get("HTTP_SEC_GPC", "").strip() == "1":
            mode = PersonalizationMode.ID_LESS
        return True, mode

    def _identifiers(self, settings: Settings, cannot_wait: bool) -> dict[str, str]:
        key = identifier_key(settings)
        found: dict[str, str] = {}
        user_id = self._user_id(settings, cannot_wait)
        if user_id is not None:
            found["user_id"] = hash_identifier("user_id", user_id, key)
        if settings.persistent_id_cookie is not None:
            browser_id, is_new = self._browser_id
            # While a response is streamed it is too late for a cookie: the browser would never
            # come back under this id.
            if not is_new or not self.is_over or self._has_cookie:
                found["persistent_id"] = hash_identifier("persistent_id", browser_id, key)
        if not found:
            session = getattr(getattr(self._request, "session", None), "session_key", None)
            if session:
                found["custom_id"] = hash_identifier("custom_id", session, key)
        return found

    def _user_id(self, settings: Settings, cannot_wait: bool) -> str | None:
        what = "the callable in MOLOCO_RMP['USER_ID']" if settings.user_id else "request.user"
        hook = settings.user_id or _authenticated_user
        try:
            text = ask("user_id", what, hook, self._request, _text)
        except InvalidEventError as error:
            if cannot_wait and isinstance(error.__cause__, SynchronousOnlyOperation):
                return None
            raise
        if text.casefold() in RESERVED_USER_IDS:
            raise InvalidEventError(
                "user_id",
                "is a placeholder, not an id",
                "Let MOLOCO_RMP['USER_ID'] return None for a shopper who is not signed in.",
            )
        return text or None

    @cached_property
    def _browser_id(self) -> tuple[str, bool]:
        """The id in the browser's cookie, or a new one, and whether it is new."""
        name = get_settings().persistent_id_cookie
        value = self._request.COOKIES.get(name or "")
        return (value, False) if value and is_browser_id(value) else (new_browser_id(), True)

    @cached_property
    def _user_agent(self) -> str | None:
        return clean_user_agent(self._request.META.get("HTTP_USER_AGENT"))

    @cached_property
    def _parsed_agent(self) -> UserAgent:
        return parse_user_agent(self._user_agent or "")

    def _ip(self, settings: Settings) -> str | None:
        if not settings.send_ip:
            return None
        meta = self._request.META
        address = client_ip(
            meta.get("REMOTE_ADDR"),
            meta.get("HTTP_X_FORWARDED_FOR"),
            meta.get("HTTP_FORWARDED"),
            settings.trusted_proxies,
        )
        # The API takes IPv4 only.
        if not isinstance(address, IPv4Address):
            return None
        return str(truncate_ip(address) if settings.send_ip == "truncated" else address)

    def _language(self) -> str | None:
        header = self._request.META.get("HTTP_ACCEPT_LANGUAGE", "")
        for tag, _ in parse_accept_lang_header(header):
            language = tag.partition("-")[0]
            if len(language) == 2 and language.isascii() and language.isalpha():
                return language
        return None


def identifier_key(settings: Settings) -> bytes:
    """Return the key that shoppers' identifiers are hashed with: of HASH_KEY, else SECRET_KEY."""
    return derive_key(settings.hash_key or django_settings.SECRET_KEY)


def _authenticated_user(request: Any) -> Any:
    user = getattr(request, "user", None)
    return user.pk if user is not None and user.is_authenticated else None


def _channel(settings: Settings, is_mobile: bool) -> str:
    if settings.channel_type != "auto":
        return settings.channel_type
    return (ChannelType.MOBILE_SITE if is_mobile else ChannelType.DESKTOP_SITE).value


def _text(answer: Any) -> str:
    # False is what "user.is_authenticated and user.email" gives for a visitor.
    return "" if answer is None or answer is False else str(answer).strip()


def _mode(answer: Any) -> PersonalizationMode | None:
    if answer is None:
        return None
    try:
        return PersonalizationMode(answer)
    except ValueError:
        shown = f"a {type(answer).__name__}"
        # Shown as it is only where it can be nothing of the shopper's.
        is_word = isinstance(answer, str) and re.fullmatch("[A-Za-z_ -]{0,20}", answer)
        if is_word or isinstance(answer, bool):
            shown = repr(answer)
        fix = "Return PersonalizationMode.STANDARD, METRIC_ONLY or ID_LESS, or None: do not track."
        rule = f"{_CONSENT} returned {shown}, which is no PersonalizationMode"
        raise InvalidEventError("personalization_mode", rule, fix) from None


_current: ContextVar[Shopper | None] = ContextVar("moloco_shopper", default=None)


def current_shopper() -> Shopper | None:
    """Return the shopper of the request that is being answered, or None outside of one."""
    return _current.get()


class bound:  # noqa: N801
    """A context manager that makes a shopper the current one."""

    def __init__(self, shopper: Shopper) -> None:
        self._shopper = shopper

    def __enter__(self) -> None:
        self._token = _current.set(self._shopper)

    def __exit__(self, *exc_info: object) -> None:
        _current.reset(self._token)
