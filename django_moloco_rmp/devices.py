"""
The shopper's device, as far as its user agent header tells.

Importing this module is cheap. The patterns are compiled by the first parse, which takes a tenth
of a second or more: :func:`warm_up` moves that out of a shopper's request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ua_parser import PartialResult

#: Longest user agent that is looked at, in characters. Real ones rarely reach half of it; the
#: limit also bounds what a pattern can be made to do by a hostile one.
MAX_USER_AGENT_LENGTH = 512

_MOBILE_SYSTEMS = frozenset({"Android", "iOS", "KaiOS", "Windows Phone"})
# Values that stand for "some device". "K" is what Chrome writes for every model since it reduced
# its user agent: https://www.chromium.org/updates/ua-reduction/
_PLACEHOLDERS = frozenset({"Other", "K", "Smartphone", "Feature Phone", "Tablet", "Desktop"})


@dataclass(frozen=True, slots=True)
class UserAgent:
    """
    What a user agent header says. None means that it does not say.

    :param os: name of the operating system, such as ``iOS`` or ``Windows``
    :param os_version: as far as known, such as ``17.5.1`` or ``10``
    :param model: model of the device, such as ``iPhone`` or ``SM-S918B``
    :param is_bot: a crawler that says so
    :param is_mobile: a phone or a tablet
    """

    os: str | None
    os_version: str | None
    model: str | None
    is_bot: bool
    is_mobile: bool


def clean_user_agent(raw: str | None) -> str | None:
    """
    Return a user agent header that can be stored and sent, or None if nothing is left of it.

    What is not printable goes: control characters, unpaired surrogates, invisible format
    characters. White space becomes single spaces, UTF-8 that the server read as Latin-1 becomes
    what was meant, and the rest ends after :data:`MAX_USER_AGENT_LENGTH` characters.

    :param raw: the header as in ``request.META``
    """
    if not raw:
        return None
    # Almost every header ends here.
    text = raw if raw.isascii() and raw.isprintable() else _repair(raw)
    return text[:MAX_USER_AGENT_LENGTH].strip() or None


def _repair(raw: str) -> str:
    # WSGI and ASGI hand over the header's bytes as Latin-1 (PEP 3333).
    try:
        text = raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        text = raw
    # Far more than is kept, so that the loop below is bounded as well.
    words = text[: 4 * MAX_USER_AGENT_LENGTH].split()
    return "".join(character for character in " ".join(words) if character.isprintable())


def parse_user_agent(ua: str) -> UserAgent:
    """
    Return what a user agent header says about the device. Any text is safe, also a hostile one.

    Results are kept for the 2048 strings that were asked for last.
    """
    return _parse(clean_user_agent(ua) or "")


# Cached by the cleaned string: keys of unbounded length would make the cache a memory leak.
@lru_cache(maxsize=2048)
def _parse(ua: str) -> UserAgent:
    result = _parser()(ua)
    os, os_version, model, is_bot = None, None, None, False
    if result.os is not None and result.os.family != "Other":
        os = result.os.family
        parts = (result.os.major, result.os.minor, result.os.patch, result.os.patch_minor)
        os_version = ".".join(part for part in parts if part) or None
    if result.device is not None:
        is_bot = result.device.family == "Spider"
        if result.device.model not in _PLACEHOLDERS:
            model = result.device.model or None
    # "Mobi" is what browsers agree on for telling phones:
    # https://developer.mozilla.org/docs/Web/HTTP/Guides/Browser_detection_using_the_user_agent
    is_mobile = os in _MOBILE_SYSTEMS or "Mobi" in ua
    return UserAgent(os, os_version, model, is_bot, is_mobile)


# ua-parser 1.0.0 compiles its patterns anew each time that it is asked for its global parser.
@cache
def _parser() -> Callable[[str], PartialResult]:
    # Checks and migrations, which import this module, serve no shopper.
    from ua_parser import Domain, parser  # noqa: PLC0415

    domains = Domain.OS | Domain.DEVICE
    return lambda ua: parser(ua, domains)


def warm_up() -> None:
    """Compile the patterns now, so that no shopper waits for it."""
    parse_user_agent("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36")
