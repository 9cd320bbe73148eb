from __future__ import annotations

import pickle

import pytest

from django_moloco_rmp import exceptions
from django_moloco_rmp.exceptions import (
    APIError,
    BadRequestError,
    DeliveryError,
    ForbiddenError,
    InternalServerError,
    InvalidEventError,
    MethodNotAllowedError,
    MolocoError,
    NetworkError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnknownError,
    api_error,
)

NAMED = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    429: TooManyRequestsError,
}
FAILURES = [*range(100, 200), *range(300, 600)]


def test_every_error_has_the_one_root() -> None:
    classes = [
        value
        for value in vars(exceptions).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert len(classes) == 13
    assert all(issubclass(cls, MolocoError) for cls in classes)


def test_invalid_event_error_says_field_rule_and_fix() -> None:
    error = InvalidEventError("items[1].quantity", "must be positive", "Leave it out.")
    assert (error.field, error.rule, error.fix) == (
        "items[1].quantity",
        "must be positive",
        "Leave it out.",
    )
    assert str(error) == "items[1].quantity: must be positive. Leave it out."


def test_invalid_event_error_is_a_value_error() -> None:
    assert issubclass(InvalidEventError, ValueError)


def test_invalid_event_error_moves_outwards() -> None:
    error = InvalidEventError("amount", "is negative", "Pass zero or more.").under("revenue")
    assert str(error) == "revenue.amount: is negative. Pass zero or more."


@pytest.mark.parametrize("status", FAILURES)
def test_every_status_has_exactly_one_class(status: int) -> None:
    expected = InternalServerError if status >= 500 else NAMED.get(status, UnknownError)
    error = api_error(status, "no")
    assert type(error) is expected
    assert error.status == status


@pytest.mark.parametrize("status", [200, 204, 299])
def test_success_is_no_error(status: int) -> None:
    with pytest.raises(ValueError, match="success"):
        api_error(status, "")


@pytest.mark.parametrize("status", FAILURES)
def test_every_status_has_exactly_one_consequence(status: int) -> None:
    error = api_error(status, "no")
    assert [error.retryable, error.is_configuration, error.is_rejection].count(True) == 1


@pytest.mark.parametrize("status", [*range(100, 200), 408, 425, 429, *range(500, 600), 600, 999])
def test_trouble_that_passes_is_retried(status: int) -> None:
    assert api_error(status, "").retryable


@pytest.mark.parametrize("status", [*range(300, 400), 401, 403, 404, 405, 407])
def test_trouble_with_the_settings_keeps_the_event(status: int) -> None:
    assert api_error(status, "").is_configuration


@pytest.mark.parametrize("status", [400, 402, 406, 409, 410, 413, 418, 422, 451, 499])
def test_trouble_with_one_event_rejects_it(status: int) -> None:
    assert api_error(status, "").is_rejection


def test_api_error_keeps_what_the_server_asked_for() -> None:
    error = api_error(429, "slow down", 7.5)
    assert (error.message, error.retry_after, str(error)) == ("slow down", 7.5, "429 slow down")


def test_api_error_without_message() -> None:
    assert str(api_error(500, "")) == "500"


def test_network_error_is_retryable() -> None:
    error = NetworkError("refused")
    assert error.retryable
    assert not error.is_configuration
    assert not error.is_rejection
    assert error.status is None
    assert error.retry_after is None
    assert str(error) == "refused"


def test_network_error_from_a_wrong_setting_is_not_retryable() -> None:
    error = NetworkError("no such proxy scheme", is_configuration=True)
    assert not error.retryable
    assert error.is_configuration


@pytest.mark.parametrize(
    "error",
    [
        InvalidEventError("id", "is missing", "Pass one."),
        NetworkError("refused"),
        NetworkError("bad proxy", is_configuration=True),
        DeliveryError("base"),
        APIError(418, "teapot", 1.0),
        *(api_error(status, "no", 2.0) for status in (302, 400, 401, 404, 408, 429, 503)),
    ],
    ids=repr,
)
def test_errors_survive_pickling(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
