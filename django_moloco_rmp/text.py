"""Text as it may leave for the API: clean, present or absent, and of bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256

from django_moloco_rmp.exceptions import InvalidEventError

#: Longest identifier, event id, page id and referrer page id, in characters.
#: https://mcm-docs.moloco.com/docs/user-event-data-specifications
MAX_ID_LENGTH = 128

_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGEST_LENGTH = 16
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# As ipaddress has it, which takes eight times as long.
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


def clean(value: str) -> str:
    """
    Return ``value`` without what some JSON reader or database refuses.

    White space controls become a space, other control characters go, and unpaired surrogates
    (undecodable bytes of a request, for one) become U+FFFD. A subclass such as ``SafeString``
    comes back as a plain ``str``.
    """
    # Almost every text ends here: nothing that is printable is unclean.
    if type(value) is str and value.isprintable():
        return value
    return _UNCLEAN.sub(_substitute, value)


def _substitute(match: re.Match[str]) -> str:
    character = match[0]
    if character >= "\ud800":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if character.isspace() else ""


def optional_text(field: str, value: object, *, limit: int | None = None) -> str | None:
    """
    Return the cleaned text, or None if there is none: the API takes blank for absent.

    :param field: path of the value, for the error
    :param limit: most characters allowed
    :raises InvalidEventError: not a ``str``, or too long
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidEventError(
            field, f"must be a str, not {type(value).__name__}", "Pass str(value) or None."
        )
    text = clean(value)
    if not text or text.isspace():
        return None
    if limit is not None and len(text) > limit:
        raise InvalidEventError(
            field,
            f"is {len(text)} characters long, more than {limit}",
            "Pass a hash of it: an HMAC-SHA-256 in hexadecimal has 64 characters.",
        )
    return text


def set_texts(instance: object, texts: Iterable[tuple[str, str, int | None]]) -> None:
    """
    Clean texts of a frozen dataclass that is just being made, see :func:`optional_text`.

    :param texts: of each its attribute, its path for the error, and the most characters allowed
    :raises InvalidEventError: one of them is not a ``str``, or too long
    """
    for name, path, limit in texts:
        value = getattr(instance, name)
        if value is not None and not _is_fine(value, limit):
            object.__setattr__(instance, name, optional_text(path, value, limit=limit))


def _is_fine(value: object, limit: int | None) -> bool:
    # Almost every text is, and this is asked of twelve for each event.
    return (
        type(value) is str
        and value.isprintable()
        and value.strip() != ""
        and (limit is None or len(value) <= limit)
    )


def is_ipv4(value: str) -> bool:
    """Return whether ``value`` is a dotted IPv4 address, without zeros that lead a number."""
    return _IPV4.fullmatch(value) is not None


def shorten_page_id(value: str) -> str:
    """
    Return a page id of at most 128 characters, the same one for the same page every time.

    A longer value loses query and fragment; if it is still too long it is cut, and a hash of the
    whole takes the place of the rest so that different pages stay different. Applying the rule
    again changes nothing.
    """
    if len(value) <= MAX_ID_LENGTH:
        return value
    path = re.split(r"[?#]", value, maxsplit=1)[0]
    if path.strip() and len(path) <= MAX_ID_LENGTH:
        return path
    # Nothing before the query: hash the query, since it is all that tells the pages apart.
    whole = path if path.strip() else value
    digest = sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{path[: MAX_ID_LENGTH - 1 - _DIGEST_LENGTH]}~{digest}"
