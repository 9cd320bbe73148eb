"""
The errors of the package. What to do with one is asked of the error itself, never worked out
again from a status code::

    MolocoError
     +- InvalidEventError (ValueError)    field, rule, fix
     +- DeliveryError                     retryable, is_configuration, is_rejection, retry_after
         +- NetworkError                  no answer came; retryable
         +- APIError                      the server answered with a status outside 200-299
             +- BadRequestError           400  rejected
             +- UnauthorizedError         401  configuration
             +- ForbiddenError            403  configuration
             +- NotFoundError             404  configuration
             +- MethodNotAllowedError     405  configuration
             +- TooManyRequestsError      429  retryable
             +- InternalServerError       500-599  retryable
             +- UnknownError              anything else; see the class

Errors in the project's settings are Django's ``ImproperlyConfigured`` and stay outside of this
tree on purpose: code that tolerates failed deliveries must not hide a wrong setting.
"""

from __future__ import annotations


class MolocoError(Exception):
    """Base of every error of this package."""


class InvalidEventError(MolocoError, ValueError):
    """
    An event that the API would refuse, raised where the caller stands.

    :param field: path of the value as in the request body, say ``items[1].quantity``
    :param rule: what is wrong, a clause without a final full stop
    :param fix: what to write instead

    The texts never hold a shopper's identifier.
    """

    def __init__(self, field: str, rule: str, fix: str) -> None:
        super().__init__(field, rule, fix)
        self.field = field
        self.rule = rule
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.field}: {self.rule}. {self.fix}"

    def under(self, path: str) -> InvalidEventError:
        """Return the same error one level further out: ``amount`` under ``revenue``."""
        return InvalidEventError(f"{path}.{self.field}", self.rule, self.fix)


class DeliveryError(MolocoError):
    """
    An event that was not delivered. Do not raise directly.

    ``retryable``
        the same event may succeed later without anybody doing anything
    ``is_configuration``
        nothing will be accepted until somebody repairs a setting; the event is kept and waits
    ``is_throttle``
        the server wants fewer calls, of one shopper or of all
    ``is_server_error``
        the server failed at this very event, for which the event may be to blame
    ``retry_after``
        seconds the server asked to wait, or None
    ``status``
        HTTP status, None when there was no answer
    ``message``
        one line for a person to read
    """

    retryable: bool = False
    is_configuration: bool = False
    is_throttle: bool = False
    is_server_error: bool = False
    retry_after: float | None = None
    status: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def is_rejection(self) -> bool:
        """Whether this one event is refused for good, while others may be accepted."""
        return not self.retryable and not self.is_configuration

    @property
    def concerns_destination(self) -> bool:
        """Whether other events would meet the same now, so that none is to be sent."""
        return not self.is_rejection and not self.is_throttle


class NetworkError(DeliveryError):
    """
    No answer: the server was not reached, or did not answer in time.

    :param is_configuration: True if no attempt can succeed, as with a malformed proxy address
    """

    def __init__(self, message: str, is_configuration: bool = False) -> None:
        super().__init__(message)
        self.is_configuration = is_configuration
        self.retryable = not is_configuration


class APIError(DeliveryError):
    """
    An answer with a status that is no success. :func:`api_error` picks the class.

    Statuses: https://mcm-docs.moloco.com/docs/user-event-api-error-categories
    """

    status: int

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.args = (status, message, retry_after)  # what unpickling calls the class with
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.status} {self.message}".rstrip()


class BadRequestError(APIError):
    """400: this event breaks a rule of the API."""


class UnauthorizedError(APIError):
    """401: the API key is missing, wrong or expired. Sources disagree on 401 against 403."""

    is_configuration = True


class ForbiddenError(APIError):
    """403: the API key does not fit the platform. Sources disagree on 401 against 403."""

    is_configuration = True


class NotFoundError(APIError):
    """404: no such platform, or a wrong address."""

    is_configuration = True


class MethodNotAllowedError(APIError):
    """405: the address is not the one that takes events."""

    is_configuration = True


class TooManyRequestsError(APIError):
    """429: too many requests per second, or one identifier shared by many shoppers."""

    retryable = True
    is_throttle = True


class InternalServerError(APIError):
    """5xx: the server's own fault."""

    retryable = True
    is_server_error = True


class UnknownError(APIError):
    """
    A status that the API does not document.

    * redirects and 407: the address or the proxy is wrong, so configuration
    * 1xx, 408, 425 and 600 upward: not about this event, so retryable
    * any other 4xx: this event alone is refused
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, message, retry_after)
        self.is_configuration = 300 <= status <= 399 or status == 407
        self.retryable = status < 200 or status in {408, 425} or status >= 600


_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    429: TooManyRequestsError,
}


def api_error(status: int, message: str, retry_after: float | None = None) -> APIError:
    """
    Return the error for an HTTP status.

    :param status: any integer outside 200-299
    :param message: one line for a person to read
    :param retry_after: seconds the server asked to wait
    :raises ValueError: the status is a success
    """
    if 200 <= status <= 299:
        raise ValueError(f"{status} is a success, not an error")
    error = InternalServerError if 500 <= status <= 599 else _BY_STATUS.get(status, UnknownError)
    return error(status, message, retry_after)
