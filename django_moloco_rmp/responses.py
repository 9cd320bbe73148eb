"""What an exchange ended with, made safe to keep: the answer's body, or the library's error."""

from __future__ import annotations

import http.client
import json
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

import requests
import urllib3

from django_moloco_rmp.exceptions import NetworkError

#: Longest message kept of an answer or a failure, in characters.
MAX_MESSAGE_LENGTH = 500
#: Most bytes read of an answer.
MAX_RESPONSE_SIZE = 16 * 1024

#: Everything that urllib3, http.client and the socket below them raise for a failed exchange, and
#: requests for an address that it cannot find a way to.
TRANSPORT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.ProxySchemeUnsupported,  # a bare ValueError
    http.client.HTTPException,
    OSError,
    UnicodeError,  # a host name, or a proxy's user name, that cannot be encoded
)
# Those that come from what we were configured with, and not from the network. InvalidHeader is
# not among them: our own headers are checked before, so it is about a header of the answer.
_CONFIGURATION_ERRORS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.URLRequired,
    urllib3.exceptions.LocationValueError,
    urllib3.exceptions.ProxySchemeUnknown,
    urllib3.exceptions.ProxySchemeUnsupported,
    UnicodeError,
)


def read_bounded(response: urllib3.BaseHTTPResponse) -> bytes:
    """
    Return what can be read of an answer's body, up to :data:`MAX_RESPONSE_SIZE`. How long it may
    take is up to the connection.

    An answer whose body breaks off is an answer all the same: the status says whether the event
    was accepted, and the body says nothing but why not.
    """
    content = b""
    # After an interim answer (1xx) the final one may follow on the same connection, where it
    # must not be taken for the answer to the next event: leave it unread, to be closed.
    if response.status < 200:
        return content
    try:
        while len(content) < MAX_RESPONSE_SIZE:
            # Returns after one packet, while read() would wait for all it was asked for.
            chunk = response.read1(MAX_RESPONSE_SIZE - len(content))
            if not chunk:
                break
            content += chunk
    except TRANSPORT_ERRORS:
        pass
    # Compressed against our wish; unpacking it could take any amount of memory.
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return b""
    return content


def response_message(content: bytes, reason: str, *, secret: str = "") -> str:
    """
    Return one line of at most 500 characters that says why an event was refused.

    :param content: body of the answer; its JSON ``message`` is taken if there is one, else its
        text
    :param reason: of the status line, for an answer without body
    :param secret: replaced by ``***`` if it should appear
    """
    text = content.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    message = data.get("message") if isinstance(data, dict) else None
    if isinstance(message, str) and message.strip():
        text = message
    return _one_line(text, secret) or _one_line(reason, secret)


def network_error(error: Exception, *, secret: str = "") -> NetworkError:
    """
    Return our error for any exception of requests, urllib3, http.client or the socket.

    :param secret: replaced by ``***`` if it should appear
    """
    # A proxy's address may hold a password; and where it cannot be read, nobody knows which part.
    is_unread = isinstance(error, urllib3.exceptions.LocationParseError)
    reason = "an address cannot be read" if is_unread else str(error)
    text = re.sub(r"//[^/@\s]*@", "//***@", f"{type(error).__name__}: {reason}")
    return NetworkError(_one_line(text, secret), isinstance(error, _CONFIGURATION_ERRORS))


def _one_line(text: str, secret: str) -> str:
    line = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(line.split())
    if secret:
        line = line.replace(secret, "***")
    return line[:MAX_MESSAGE_LENGTH].rstrip()


def parse_retry_after(value: str | None, now: float) -> float | None:
    """
    Return the seconds that a Retry-After header asks to wait; None if it says nothing usable.

    :param value: seconds, or an HTTP date (RFC 9110, section 10.2.3)
    :param now: seconds since the epoch
    """
    value = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:  # an HTTP date without a zone is in UTC, and Django sets another
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return seconds if seconds >= 0 else None
