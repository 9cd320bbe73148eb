"""Whether Moloco can be reached and takes the key, in words that say what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django_moloco_rmp.client import EventClient
from django_moloco_rmp.exceptions import APIError, DeliveryError, NetworkError

#: No event at all. Its refusal (400) shows that the key and the platform, which are looked at
#: first, were accepted: the order of the mock server in the vendor's own client,
#: https://www.npmjs.com/package/@moloco/moloco-rmp-js-api-client
BODY = "{}"


@dataclass(frozen=True, slots=True)
class Pong:
    """What came of a ping: ``what`` happened, what to ``do``, HTTP ``status`` and ``seconds``."""

    is_fine: bool
    what: str
    do: str
    status: int | None
    seconds: float
    message: str = ""


def ping(client: EventClient, clock: Callable[[], float] = time.monotonic) -> Pong:
    """
    Call the API once, with what is no event, so that nothing is recorded.

    :param clock: seconds that only ever grow
    """
    start = clock()
    error: DeliveryError | None = None
    try:
        client.insert_body(BODY)
    except DeliveryError as failure:
        error = failure
    is_fine, what, do = _verdict(error)
    return Pong(
        is_fine,
        what,
        do,
        200 if error is None else error.status,
        clock() - start,
        "" if error is None else error.message,
    )


def _verdict(error: DeliveryError | None) -> tuple[bool, str, str]:
    if error is None:
        return (
            True,
            "Moloco was reached, and took a call without an event for good.",
            "Is this Moloco's server? It should refuse such a call, with 400.",
        )
    if isinstance(error, NetworkError):
        return (False, *_network(error))
    if isinstance(error, APIError) and error.status in _ANSWERS:
        return (error.status in _GOOD, *_ANSWERS[error.status])
    if error.is_server_error:
        return (
            False,
            "Moloco's server was reached, and failed.",
            "Wait: events are kept, and tried again by themselves. Ask Moloco if it goes on.",
        )
    if error.is_configuration:
        return (
            False,
            "The address sends calls somewhere else.",
            "Set BASE_URL to the address that Moloco gave you, with https:// and without a path.",
        )
    return (
        False,
        "The answer is none that Moloco documents.",
        "Look at BASE_URL, and at proxies or firewalls on the way: who answers there?",
    )


# 422 is another way to refuse a body.
_GOOD = {400, 422}
_REACHED = (
    "Moloco was reached, and takes the key for this platform.",
    "Nothing. (It refused the empty call as it should, so nothing was recorded.)",
)
_KEY = (
    "Moloco was reached, and refuses the API key.",
    "Set API_KEY to the User Event API key of this platform. Test and production have different "
    "keys, and the Decision and Management APIs have others. No white space, no quotes.",
)
_ANSWERS = {
    400: _REACHED,
    422: _REACHED,
    401: _KEY,
    403: _KEY,
    404: (
        "The server was reached, but knows no such platform or address.",
        "Compare PLATFORM_ID with what Moloco gave you: capitals count, and test and production "
        "differ. Then PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL, which make the address.",
    ),
    405: (
        "The address takes no events.",
        "Set BASE_URL to the address that Moloco gave you, without a path.",
    ),
    407: (
        "A proxy on the way wants to know who you are.",
        "Set HTTPS_PROXY in the environment to http://user:password@host:port.",
    ),
    429: (
        "Moloco was reached, and wants fewer calls.",
        "Wait a minute, and ping again. If it goes on, set MAX_QPS, or ask Moloco for more.",
    ),
}

# The names by which requests, urllib3 and ssl call it, which our error's message begins with or
# contains; the first that fits counts.
_CAUSES = (
    (
        ("ProxyError", "ProxySchemeUnknown", "InvalidProxyURL"),
        "The proxy of the environment does not let it through.",
        "Look at HTTPS_PROXY and NO_PROXY in the environment of this process.",
    ),
    (
        ("NameResolutionError", "Failed to resolve"),
        "The host's name is not known (DNS).",
        "Compare PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL with what Moloco gave you; then see "
        "whether this machine resolves names at all.",
    ),
    (
        ("CA certificate bundle",),
        "The file of trusted certificates is not there.",
        "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE in the environment of this process names it.",
    ),
    (
        ("SSLError", "CERTIFICATE_VERIFY_FAILED", "CertificateError"),
        "The server's certificate is not trusted (TLS), or it speaks no TLS.",
        "Is the address right? If a proxy of your company opens TLS, set REQUESTS_CA_BUNDLE to "
        "its certificate. Then compare this machine's clock.",
    ),
    (
        ("ConnectTimeout",),
        "No connection within the time that TIMEOUT allows.",
        "A firewall may swallow it: let this machine out to port 443 of the host.",
    ),
    (
        ("ReadTimeout", "Read timed out"),
        "Connected, but no answer within the time that TIMEOUT allows.",
        "Wait: events are kept, and tried again by themselves. Raise TIMEOUT if it goes on.",
    ),
    (
        ("Connection refused", "ECONNREFUSED", "actively refused"),
        "Nobody listens at that address and port.",
        "Look at BASE_URL; should it be the sandbox, start it: manage.py moloco_sandbox.",
    ),
)


def _network(error: NetworkError) -> tuple[str, str]:
    for signs, what, do in _CAUSES:
        if any(sign in error.message for sign in signs):
            return what, do
    if error.is_configuration:
        return (
            "The address cannot be called at all.",
            "Look at BASE_URL, and at HTTPS_PROXY in the environment of this process.",
        )
    return (
        "There was no answer: the connection failed.",
        "Look at the network between this machine and the host, proxies and firewalls.",
    )
