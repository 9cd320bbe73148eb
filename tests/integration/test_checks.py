"""What ``manage.py check`` says of MOLOCO_RMP, its pages and the middleware."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import ERROR, CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client, override_settings
from django.urls import path, resolve
from django.utils.decorators import method_decorator
from django.views import View
from hypothesis import example, given
from hypothesis import strategies as st

from django_moloco_rmp import checks
from django_moloco_rmp.decorators import page
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.middleware import MolocoMiddleware
from django_moloco_rmp.pages import page_of
from tests.integration import checks_urls

# Django's own checks of the models ask some databases for their version.
pytestmark = pytest.mark.django_db(databases=["default", "other"])

HERE = __name__
REQUIRED = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
LONG = "x" * 32
GOOD = {**REQUIRED, "HASH_KEY": LONG}
CACHE = "django.middleware.cache.UpdateCacheMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
MOLOCO = "django_moloco_rmp.middleware.MolocoMiddleware"


def moloco(**keys: Any) -> dict[str, Any]:
    return {"MOLOCO_RMP": {**GOOD, **keys}}


#: Settings at fault: with the id, the message and the hint they get, and nothing else.
FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "E001",
        {"MOLOCO_RMP": None},
        "MOLOCO_RMP is not set to a dict.",
        "Set MOLOCO_RMP = {'PLATFORM_ID': ..., 'API_KEY': ...}.",
    ),
    (
        "E002",
        moloco(ENABLE=True),
        "MOLOCO_RMP['ENABLE'] is no setting of this app.",
        "Did you mean 'ENABLED'?",
    ),
    (
        "E003",
        {"MOLOCO_RMP": {"PLATFORM_ID": "SHOP", "HASH_KEY": LONG}},
        "MOLOCO_RMP['API_KEY'] is required.",
        "Moloco's account manager gives it to you; until then set ENABLED to False.",
    ),
    (
        "E004",
        moloco(ENABLED="yes"),
        "MOLOCO_RMP['ENABLED'] must be True or False.",
        "Pass a bool, not a text.",
    ),
    (
        "E004",
        moloco(LEASE=40),
        "MOLOCO_RMP['LEASE'] must be at least four times the sum of TIMEOUT, here 52.2 seconds.",
        "Raise LEASE or lower TIMEOUT, or events with slow answers are sent twice.",
    ),
    (
        "E005",
        moloco(PLATFORM_ID="Größe"),
        "MOLOCO_RMP gives no address to send to: platform_name (platform_id when there is none)"
        " must be made of letters, digits, _, - and spaces to name a host; pass base_url for any"
        " other address.",
        "Compare PLATFORM_ID, PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL with what Moloco gave.",
    ),
    (
        "E005",
        moloco(BASE_URL="https://user@host"),
        "MOLOCO_RMP gives no address to send to: base_url must have no user name, query or"
        " fragment.",
        "Compare PLATFORM_ID, PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL with what Moloco gave.",
    ),
    (
        "E005",
        moloco(DESTINATIONS={"de": {**REQUIRED, "BASE_URL": "https://user@host"}}),
        "MOLOCO_RMP['DESTINATIONS']['de'] gives no address to send to: base_url must have no user"
        " name, query or fragment.",
        "Compare PLATFORM_ID, PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL with what Moloco gave.",
    ),
    (
        "E006",
        moloco(PAGES={"search": "SEARCH:{q"}),
        "MOLOCO_RMP['PAGES']['search'] is no template: expected '}' before end of string.",
        "Write placeholders as in 'CATEGORY:{slug}'.",
    ),
    *[
        (
            "E008",
            moloco(PERSISTENT_ID_COOKIE=name),
            f"MOLOCO_RMP['PERSISTENT_ID_COOKIE'] is '{name}', as {other} is: it would replace"
            " that.",
            "Give it a name of its own, such as the default, 'moloco_pid'.",
        )
        for other, name in (
            ("SESSION_COOKIE_NAME", "sessionid"),
            ("CSRF_COOKIE_NAME", "csrftoken"),
            ("LANGUAGE_COOKIE_NAME", "django_language"),
        )
    ],
    (
        "E009",
        moloco(PAGES={"slug": "{sku}:{0}"}),
        "MOLOCO_RMP['PAGES']['slug'] asks for {0}, {sku}, which the URL 'slug/<slug:slug>/' does"
        " not have.",
        "It captures slug. Use that, or give its pattern a default.",
    ),
    (
        "W001",
        moloco(PAGES={"serach": "SEARCH"}),
        "MOLOCO_RMP['PAGES'] names 'serach', which is no name of a URL.",
        "Write it with its namespaces, as request.resolver_match.view_name.",
    ),
    (
        "W002",
        {"MIDDLEWARE": [SESSION, AUTHENTICATION]},
        "MolocoMiddleware is missing: no event will know its shopper.",
        f"Add '{MOLOCO}' to MIDDLEWARE, below AuthenticationMiddleware.",
    ),
    *[
        (
            "E007",
            {"MIDDLEWARE": [MOLOCO, other]},
            f"MolocoMiddleware stands before {other.rpartition('.')[2]} in MIDDLEWARE.",
            f"Move '{MOLOCO}' below '{other}'.",
        )
        for other in (CACHE, SESSION, AUTHENTICATION)
    ],
    (
        "W003",
        {"MOLOCO_RMP": REQUIRED},
        "MOLOCO_RMP['HASH_KEY'] is not set, so shopper ids are derived from SECRET_KEY.",
        "Set it once and for all: else a new SECRET_KEY renames every shopper.",
    ),
    (
        "W004",
        moloco(HASH_KEY="x" * 31),
        "MOLOCO_RMP['HASH_KEY'] is shorter than 32 characters.",
        "Make one with python -c 'import secrets; print(secrets.token_urlsafe(48))'.",
    ),
    (
        "W005",
        moloco(BASE_URL="http://moloco.example"),
        "MOLOCO_RMP['BASE_URL'] is an address without encryption.",
        "Use https://, or anybody on the way can read the API key.",
    ),
    (
        "W005",
        moloco(DESTINATIONS={"de": {**REQUIRED, "BASE_URL": "http://moloco.example"}}),
        "MOLOCO_RMP['DESTINATIONS']['de']['BASE_URL'] is an address without encryption.",
        "Use https://, or anybody on the way can read the API key.",
    ),
]
#: What only ``check --deploy`` says.
OF_DEPLOYMENT = {"W003", "W004"}
#: What only a process of uWSGI's can see, and is tested in one: tests/processes/servers.
OF_UWSGI = {"W006", "W007"}
#: Of task queues: tests/runners/test_readiness.py.
OF_QUEUES = {"E010", "E011", "W008", "W009"}


@pytest.fixture(autouse=True)
def _good_settings(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.integration.checks_urls"
    settings.MOLOCO_RMP = GOOD


def found(*, deploy: bool = True) -> list[CheckMessage]:
    """Return what the registered checks find that is ours."""
    messages = run_checks(include_deployment_checks=deploy)
    return [message for message in messages if str(message.id).startswith("moloco_rmp.")]


def found_ids(**overrides: Any) -> list[str]:
    with override_settings(**overrides):
        return [str(message.id).removeprefix("moloco_rmp.") for message in found()]


def test_nothing_is_said_of_good_settings() -> None:
    assert found_ids() == []


@pytest.mark.parametrize(("number", "overrides", "message", "hint"), FAULTS)
def test_a_fault_is_told_with_its_fix(
    number: str, overrides: dict[str, Any], message: str, hint: str
) -> None:
    with override_settings(**overrides):
        (told,) = found()
        assert (told.id, told.msg, told.hint) == (f"moloco_rmp.{number}", message, hint)
        assert told.is_serious(ERROR) is number.startswith("E")
        assert bool(found(deploy=False)) is (number not in OF_DEPLOYMENT)


def test_each_id_has_one_meaning_and_a_test() -> None:
    ids = re.findall(r'"moloco_rmp\.([EW]\d{3})"', inspect.getsource(checks))
    assert len(ids) == len(set(ids))
    assert set(ids) == {number for number, *_ in FAULTS} | OF_UWSGI | OF_QUEUES


def test_an_error_stops_commands_and_a_warning_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(**moloco(ENABLE=True)), pytest.raises(SystemCheckError) as caught:
        call_command("check")
    assert "(moloco_rmp.E002) MOLOCO_RMP['ENABLE'] is no setting of this app." in str(caught.value)
    assert "HINT: Did you mean 'ENABLED'?" in str(caught.value)
    with override_settings(**moloco(PAGES={"serach": "SEARCH"})):
        call_command("check")
    assert "(moloco_rmp.W001)" in capsys.readouterr().err


@pytest.mark.parametrize("deploy", [False, True])
def test_a_missing_hash_key_is_told_before_deployment_only(
    deploy: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with override_settings(MOLOCO_RMP=REQUIRED):
        call_command("check", deploy=deploy)
    assert ("(moloco_rmp.W003)" in capsys.readouterr().err) is deploy


def test_the_checks_name_each_of_several_faults() -> None:
    overrides = {"MOLOCO_RMP": {"api_key": "k", "RELAY": "x"}, "MIDDLEWARE": []}
    assert sorted(found_ids(**overrides)) == ["E002", "E003", "E003", "E004", "W002"]


def test_a_shop_that_reports_nothing_needs_neither_keys_nor_an_address() -> None:
    assert found_ids(MOLOCO_RMP={"ENABLED": False}) == []
    off = {"PLATFORM_ID": "Größe", "API_KEY": "k", "BASE_URL": "http://host", "ENABLED": False}
    assert found_ids(MOLOCO_RMP=off) == []


@pytest.mark.parametrize("value", ["s3cr3t key", "s3cr3t\nkey", b"s3cr3t", ["s3cr3t"]])
def test_checks_do_not_tell_secrets(value: object) -> None:
    with override_settings(**moloco(API_KEY=value, HASH_KEY=value)):
        told = " ".join(map(str, found()))
    assert "MOLOCO_RMP['API_KEY']" in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize("host", ["127.0.0.1:8010", "localhost", "[::1]:8010"])
def test_the_sandbox_on_this_machine_needs_no_encryption(host: str) -> None:
    assert found_ids(**moloco(BASE_URL=f"http://{host}")) == []


text = st.text(max_size=8) | st.sampled_from(["SHOP_TEST", "test-key", "host.example"])


@given(
    st.fixed_dictionaries(
        {"PLATFORM_ID": text, "API_KEY": text},
        optional={
            "PLATFORM_NAME": text,
            "DOMAIN_SUFFIX": text,
            "BASE_URL": text.map("https://{}".format) | text,
        },
    )
)
@example({"PLATFORM_ID": "..", "API_KEY": "k"})
@example({"PLATFORM_ID": "SHOP", "API_KEY": "clé"})
def test_the_checks_find_fault_if_and_only_if_no_relay_can_start(raw: dict[str, str]) -> None:
    with override_settings(MOLOCO_RMP=raw):
        errors = [message for message in checks.check_settings() if message.is_serious(ERROR)]
        try:
            fleet_from_settings("default")
            starts = True
        except ImproperlyConfigured:
            starts = False
    assert starts is not bool(errors)


def test_the_cookie_may_have_any_name_that_is_free() -> None:
    renamed = {"SESSION_COOKIE_NAME": "shop", "MOLOCO_RMP": GOOD}
    assert found_ids(**moloco(PERSISTENT_ID_COOKIE="sessionid", ENABLED=False)) == []
    assert found_ids(**renamed | moloco(PERSISTENT_ID_COOKIE="sessionid")) == []
    assert found_ids(**renamed | moloco(PERSISTENT_ID_COOKIE="shop")) == ["E008"]
    assert found_ids(**renamed | moloco(PERSISTENT_ID_COOKIE=None)) == []


class OurMiddleware(MolocoMiddleware):
    """What a shop makes of ours."""


class OtherSessions(SessionMiddleware):
    """What a shop makes of Django's."""


def function(get_response: Any) -> Any:
    """A middleware may be no class at all."""
    return get_response


def test_subclasses_are_named_as_they_are_in_the_settings() -> None:
    with override_settings(MIDDLEWARE=[f"{HERE}.OurMiddleware", f"{HERE}.OtherSessions"]):
        (told,) = found()
    assert told.msg == "OurMiddleware stands before OtherSessions in MIDDLEWARE."
    assert told.hint == f"Move '{HERE}.OurMiddleware' below '{HERE}.OtherSessions'."


@pytest.mark.parametrize(
    ("middleware", "faults"),
    [
        ([CACHE, SESSION, AUTHENTICATION, MOLOCO], 0),
        ([MOLOCO], 0),
        ([SESSION, MOLOCO, AUTHENTICATION], 1),
        ([MOLOCO, CACHE, SESSION, AUTHENTICATION], 3),
        ([SESSION, AUTHENTICATION, f"{HERE}.OurMiddleware"], 0),
        ([f"{HERE}.OurMiddleware", SESSION], 1),
        ([MOLOCO, f"{HERE}.OtherSessions", "django.middleware.cache.CacheMiddleware"], 2),
        ([f"{HERE}.OtherSessions", f"{HERE}.function", "nothing.there", MOLOCO], 0),
    ],
)
def test_the_middleware_comes_after_what_it_needs(middleware: list[str], faults: int) -> None:
    assert found_ids(MIDDLEWARE=middleware) == ["E007"] * faults


@pytest.mark.parametrize(
    "name",
    [
        "home",
        "search",
        "inner",
        "mine:index",
        "theirs:orders:order",
        "about",
        "account:orders:order",
        "tests.integration.checks_urls.view",
        "tests.integration.checks_urls.ClassView",
        "functools.partial",
    ],
)
def test_pages_go_by_the_names_of_views(name: str) -> None:
    assert found_ids(**moloco(PAGES={name: "PAGE"})) == []


@pytest.mark.parametrize("name", ["order", "mine", "mine:", "mine:order", "en:about", "/search/"])
def test_no_other_names_do_for_pages(name: str) -> None:
    assert found_ids(**moloco(PAGES={"home": "HOME", name: "PAGE"})) == ["W001"]


@pytest.mark.parametrize(
    "url", ["/", "/search/", "/unnamed/", "/class/", "/mine/orders/5/", "/en-us/shop/orders/5/"]
)
def test_names_that_requests_have_are_names_that_pages_may_have(client: Client, url: str) -> None:
    match = client.get(url).resolver_match
    assert match is not None
    assert found_ids(**moloco(PAGES={match.view_name: "PAGE"})) == []


@pytest.mark.parametrize("template", ["{", "}", "{slug", "{slug!}", "a}b"])
def test_templates_of_pages_have_to_be_well_formed(template: str) -> None:
    assert found_ids(**moloco(PAGES={"home": template})) == ["E006"]


SLUG = ("HOME", "{{}}", "P:{slug}", "{slug.name:>8}", "{slug[key]!r:{slug}}")
GROUPS = ("{0}", "{}", "{}-{}", "{1.real:>8}")


@pytest.mark.parametrize(
    ("name", "template"),
    [
        *(("slug", template) for template in SLUG),
        *(("two-groups", template) for template in GROUPS),
        *(("two-groups-within", template) for template in GROUPS),
        ("slug-by-default", "P:{slug}"),
        ("slug-and-group", "P:{slug}:{0}"),
        ("slug-and-group-within", "P:{slug}:{0}"),
        ("slug-within", "P:{slug}"),
        ("slug-around", "P:{slug}"),
    ],
)
def test_templates_of_pages_may_hold_what_the_url_has(name: str, template: str) -> None:
    assert found_ids(**moloco(PAGES={name: template})) == []


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("home", "{slug}"),
        ("home", "{0}"),
        ("slug", "{sku}"),
        ("slug", "{0}"),
        ("slug", "{slug:{width}}"),
        ("slug-or-not", "{slug}"),
        ("two-groups", "{2}"),
        ("two-groups-within", "{}{}{}"),
        ("slug-but-no-group", "{0}"),
        ("slug-and-group", "{1}"),
        ("slug-and-group-within", "{1}"),
        ("slug-within", "{0}"),
        ("slug-around", "{0}"),
    ],
)
def test_templates_of_pages_may_hold_nothing_else(name: str, template: str) -> None:
    assert found_ids(**moloco(PAGES={name: template})) == ["E009"]


@pytest.mark.parametrize(
    "url",
    [
        *("/slug/a/", "/default/", "/either/a/", "/either/", "/groups/1/2/", "/both/1/a/"),
        *("/group-and-default/1/", "/in/a/1/", "/in/1/2/", "/in/1/a/", "/in/1/"),
    ],
)
@pytest.mark.parametrize("template", ["{slug}", "{0}", "{1}", "{slug}{0}"])
@override_settings(ROOT_URLCONF="tests.integration.checks_urls")
def test_the_check_and_requests_agree_on_what_a_url_has(url: str, template: str) -> None:
    match = resolve(url)
    told = found_ids(**moloco(PAGES={match.view_name: template}))
    if match.view_name == "slug-or-not":
        assert told != []
        return
    try:
        page_of(match, {match.view_name: template})
        assert told == []
    except InvalidEventError:
        assert told == ["E009"]


def decorated(template: str, route: str = "p/<slug:slug>/", name: str = "product") -> Any:
    return (path(route, page(template)(checks_urls.view), name=name),)


def test_what_decorators_name_pages_by_is_checked_too() -> None:
    assert found_ids(ROOT_URLCONF=decorated("P:{slug}")) == []
    assert found_ids(ROOT_URLCONF=decorated("P:{slug}", "p/")) == ["E009"]
    assert found_ids(ROOT_URLCONF=decorated("P:{")) == ["E006"]
    with override_settings(ROOT_URLCONF=decorated("P:{sku}")):
        (told,) = found()
    assert told.msg == (
        "The page of view 'product', 'P:{sku}', asks for {sku}, which the URL 'p/<slug:slug>/'"
        " does not have."
    )


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_decorators_of_methods_name_pages_by_is_checked_too(method: str) -> None:
    decorator = method_decorator(page("P:{sku}"), name=method)
    methods = {"get": checks_urls.view, "post": checks_urls.view}
    view = decorator(type("Product", (View,), methods)).as_view()
    assert found_ids(ROOT_URLCONF=(path("p/<sku>/", view),)) == []
    assert found_ids(ROOT_URLCONF=(path("p/", view),)) == ["E009"]


def test_what_a_decorator_overrides_is_not_compared() -> None:
    pages = moloco(PAGES={"product": "{sku}"})
    assert found_ids(ROOT_URLCONF=decorated("P:{slug}"), **pages) == []


@pytest.mark.parametrize(
    ("urlconf", "error", "told"),
    [
        ("tests.nowhere", ModuleNotFoundError, "tests.nowhere"),
        ("tests.settings", ImproperlyConfigured, "tests.settings"),
    ],
)
@pytest.mark.parametrize("pages", [{}, {"home": "HOME"}], ids=["no pages", "pages"])
def test_a_broken_urlconf_fails_as_it_does_without_this_app(
    urlconf: str, error: type[Exception], told: str, pages: dict[str, str]
) -> None:
    with (
        override_settings(ROOT_URLCONF=urlconf, **moloco(PAGES=pages)),
        pytest.raises(error, match=told),
    ):
        call_command("check")


def test_what_is_no_url_pattern_is_left_to_djangos_own_check() -> None:
    patterns = ("no pattern", path("", checks_urls.view, name="home"))
    with override_settings(ROOT_URLCONF=patterns, **moloco(PAGES={"home": "HOME"})):
        assert {message.id for message in run_checks()} == {"urls.E004"}


def test_a_project_without_urls_can_be_checked(settings: Any) -> None:
    settings.MOLOCO_RMP = {**GOOD, "PAGES": {"home": "HOME"}}
    del settings.ROOT_URLCONF
    assert found_ids() == []
