"""
The endpoint of a platform: the URL that its events are posted to.

A module of its own, for the checks look at it in processes that never call it, and the HTTP library
takes long to import.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

DEFAULT_DOMAIN_SUFFIX = "rmp-api.moloco.com"


def endpoint(
    platform_id: str,
    *,
    platform_name: str | None = None,
    domain_suffix: str = DEFAULT_DOMAIN_SUFFIX,
    base_url: str | None = None,
) -> str:
    """
    Return the URL that events are posted to.

    :param platform_id: goes unchanged, but percent-encoded, into the path
    :param platform_name: names the host ``{name}-evt.{domain_suffix}``, in lower case with ``-``
        for ``_`` and spaces; the platform id by default
    :param domain_suffix: ``rmp-api.moloco.com`` or ``mcm-api.moloco.com``
    :param base_url: origin handed over by the vendor, as in ``https://host``; wins over both
    :raises ValueError: an argument cannot be part of a URL; the error names it

    https://rmp-docs.moloco.com/docs/integrate-events-data
    """
    if not platform_id or platform_id in {".", ".."} or not _is_plain(platform_id):
        raise ValueError(
            "platform_id must be the id given by Moloco, such as SHOP_TEST, without white space"
            " around it or control characters in it"
        )
    if base_url is None:
        base_url = _origin(platform_name or platform_id, domain_suffix)
    else:
        _check_base_url(base_url)
    path = f"/rmp/event/v1/platforms/{quote(platform_id, safe='')}/userevents"
    return base_url.rstrip("/") + path


def _is_plain(value: str) -> bool:
    return value.isprintable() and value == value.strip()


def _origin(name: str, domain_suffix: str) -> str:
    label = re.sub(r"[_\s]+", "-", name.strip().lower())
    # 63 characters are the most for a label of a host name, and "-evt" takes four.
    if not _is_plain(name) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,58}", label):
        raise ValueError(
            "platform_name (platform_id when there is none) must be made of letters, digits, _, -"
            " and spaces to name a host; pass base_url for any other address"
        )
    if not re.fullmatch(r"([a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}", domain_suffix, re.IGNORECASE):
        raise ValueError("domain_suffix must be a host name, such as rmp-api.moloco.com")
    return f"https://{label}-evt.{domain_suffix}"


def _check_base_url(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and parts.port != 0
        host = parts.hostname or ""
    except ValueError:
        usable, host = False, ""
    # urlsplit drops line breaks without a word, and a space would end the request line.
    usable = usable and base_url.isprintable() and " " not in base_url
    if not usable or not re.fullmatch(r"[a-z0-9_-][a-z0-9._-]*|[0-9a-f:.]+", host):
        raise ValueError("base_url must be an address such as https://host or http://host:8010")
    if "@" in parts.netloc or "?" in base_url or "#" in base_url:
        raise ValueError("base_url must have no user name, query or fragment")
