"""How delivery stands, in words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext, ngettext

from django_moloco_rmp.admin.durations import ago, span
from django_moloco_rmp.admin.numbers import number
from django_moloco_rmp.conf import Problem, Settings
from django_moloco_rmp.protocol import Reason, State
from django_moloco_rmp.status import Status


@dataclass(frozen=True, slots=True)
class Headline:
    """The state in one line: ``tone`` is ``good``, ``quiet``, ``warning`` or ``bad``."""

    tone: str
    title: str
    text: str = ""
    steps: tuple[str, ...] = field(default=())


def headline(
    status: Status,
    destination: str,
    settings: Settings | None,
    problems: list[Problem],
    *,
    is_new: bool,
) -> Headline:
    """
    Return the state in one line, and the next steps.

    :param destination: its name
    :param settings: None if they are at fault
    :param problems: the settings' faults
    :param is_new: whether there has never been an event
    """
    if problems:
        return Headline(
            "bad",
            gettext("The settings are at fault, so nothing is recorded or sent"),
            steps=tuple(f"{problem} {problem.fix}" for problem in problems),
        )
    if settings is not None and not settings.enabled:
        return Headline(
            "quiet",
            gettext("Switched off"),
            gettext("ENABLED is False: nothing is recorded."),
            (gettext("Set MOLOCO_RMP['ENABLED'] to True to record and send events."),),
        )
    if settings is not None and destination not in settings.destinations:
        return Headline(
            "bad",
            gettext("This destination is in the settings no more"),
            gettext("Its events are kept, and none is sent."),
            (gettext("Put it into DESTINATIONS again, or export and discard its events."),),
        )
    if status.state is State.PAUSED:
        return Headline(
            "warning",
            gettext("Paused by an operator"),
            gettext("Events are recorded and kept; none is sent until delivery is resumed."),
        )
    if status.state is not State.CLOSED:
        return _failing(status)
    if is_new:
        return Headline("quiet", gettext("Nothing has been sent yet"), steps=_first_steps())
    if not status.is_relayed and status.backlog.pending.count.number:
        return Headline(
            "bad",
            gettext("Events wait, and nobody sends them"),
            gettext("A relay was seen %s.") % ago(status.relay_seen_ago)
            if status.relay_seen_ago is not None
            else gettext("No relay has been seen at all."),
            _relay_steps(settings),
        )
    if not status.is_relayed:
        return Headline(
            "quiet",
            gettext("All is sent"),
            gettext("No relay is at work now (seen %s).") % ago(status.relay_seen_ago),
            _relay_steps(settings),
        )
    return Headline("good", gettext("Events flow"), _rate(status))


def _failing(status: Status) -> Headline:
    tone = "warning" if status.state is State.BACKOFF else "bad"
    titles = {
        Reason.SERVER: gettext("Moloco cannot be reached, or its server fails"),
        Reason.CONFIGURATION: gettext("Moloco refuses every call: a setting has to be repaired"),
        Reason.REJECTIONS: gettext("Event after event is refused: the mapping looks broken"),
    }
    if status.state is State.OPEN:
        text = ngettext(
            "Delivery is suspended after %(count)d failure; nothing is lost.",
            "Delivery is suspended after %(count)d failures in a row; nothing is lost.",
            status.failures,
        )
    else:
        text = ngettext(
            "After %(count)d failure the next try waits; nothing is lost.",
            "After %(count)d failures in a row the next try waits; nothing is lost.",
            status.failures,
        )
    return Headline(
        tone,
        titles.get(status.reason, gettext("Delivery fails")),
        text % {"count": status.failures},
        _REPAIRS.get(status.reason, lambda: ())(),
    )


def _server_steps() -> tuple[str, ...]:
    return (
        gettext("Wait: it resumes by itself, with one probe at growing intervals."),
        gettext("If it lasts, run manage.py moloco_ping, and ask Moloco."),
    )


def _configuration_steps() -> tuple[str, ...]:
    return (
        gettext("Compare PLATFORM_ID and API_KEY with what Moloco gave you: they go in pairs."),
        gettext("Restart with the repaired settings, or press “Probe now”."),
    )


def _rejection_steps() -> tuple[str, ...]:
    return (
        gettext("Read the newest errors below, and mend the code that makes these events."),
        gettext("Then press “Probe now”, and resend the rejected events."),
    )


_REPAIRS = {
    Reason.SERVER: _server_steps,
    Reason.CONFIGURATION: _configuration_steps,
    Reason.REJECTIONS: _rejection_steps,
}


def _first_steps() -> tuple[str, ...]:
    return (
        gettext("Put MolocoMiddleware into MIDDLEWARE; manage.py check says if it is missing."),
        gettext("Decorate a view, say with @home, or call track() where something happens."),
        gettext("Open that page in a browser: the event shows up here within seconds."),
    )


def _relay_steps(settings: Settings | None) -> tuple[str, ...]:
    relay = settings.relay if settings is not None else ""
    if relay == "thread":
        return (
            gettext("The relay runs in the web process, and starts with the next event."),
            gettext(
                "In production, run manage.py moloco_relay beside it: it works without events."
            ),
        )
    if relay == "celery":
        return (
            gettext("Start a Celery worker, with a timetable that calls django_moloco_rmp.drain."),
        )
    if relay == "tasks":
        return (
            gettext("Start a worker of your backend of TASKS."),
            gettext("Have cron call manage.py moloco_relay --until-empty each minute."),
        )
    if relay == "off":
        return (gettext("RELAY is 'off': set it to 'thread', or run manage.py moloco_relay."),)
    return (gettext("Start manage.py moloco_relay, and keep it running."),)


def _rate(status: Status) -> str:
    parts = []
    if status.last_success_ago is not None:
        parts.append(gettext("The last one was delivered %s.") % ago(status.last_success_ago))
    if status.adapted_rate is not None:
        rate = number(status.adapted_rate, 1)
        parts.append(gettext("Slowed down to %s events a second: Moloco asked for less.") % rate)
    if status.throttled:
        parts.append(gettext("Shoppers held back for a moment: %s.") % number(status.throttled))
    return " ".join(parts)


def drain(status: Status) -> str:
    """Return how long the backlog takes, in words."""
    count = status.backlog.pending.count
    if not count.number:
        return "\N{EN DASH}"
    seconds = status.drain_seconds
    if seconds is None:
        return gettext("not known yet")
    text = gettext("more than %s") if count.is_more else gettext("about %s")
    return text % span(max(1, seconds))
