"""``manage.py moloco_status``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management.base import CommandParser

from django_moloco_rmp.backlog import Backlog, Count, Pile, known_destinations
from django_moloco_rmp.conf import named_destinations, problems
from django_moloco_rmp.diagnosis import Finding, diagnose
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_destination,
    add_json,
    destinations,
    duration,
    whole_number,
)
from django_moloco_rmp.protocol import Reason, State
from django_moloco_rmp.status import Status, read_status

_WHY = {
    Reason.NONE: "",
    Reason.SERVER: "Moloco's server fails, or is not reached",
    Reason.CONFIGURATION: "Moloco accepts nothing until a setting is repaired: see moloco_ping",
    Reason.REJECTIONS: "Moloco refuses event after event: the events' mapping is broken",
}
_GONE = "it is in DESTINATIONS no more, so its events wait"


class Command(OperatorCommand):
    """Says how things stand."""

    help = """\
Says how things stand: what waits, what was refused, whether Moloco is being
called and if not why, and when the backlog will be gone. It takes no lock, and
counts up to 100,000 events of a kind: beyond that it says "more than".

"oldest" is how long the first of the pending events has waited, since it was
recorded; if it was resent, since it became due."""
    epilog = """\
examples:
  manage.py moloco_status
  manage.py moloco_status --fail-if-older 900     for a monitor: an alarm once
                                                  an event waits for 15 minutes
  manage.py moloco_status --json | jq .circuit.state
  manage.py moloco_status --explain               is the database in order?
  manage.py moloco_status --destination de

exit status: 0; 1 if an event is older than --fail-if-older allows, or the
status cannot be read; 2 if it was not understood"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--fail-if-older",
            type=whole_number,
            metavar="SECONDS",
            help="exit with 1 if an event has waited longer than this, and say why",
        )
        parser.add_argument(
            "--explain",
            action="store_true",
            help="also look at the database: clock, index use, isolation, long transactions",
        )
        add_destination(parser)
        add_json(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Say how things stand."""
        known = known_destinations(using)
        found = [
            _Standing(
                name,
                name if len(known) > 1 else "",
                name in named_destinations(),
                read_status(using, name),
                Backlog(using, name).known_ids(),
            )
            for name in destinations(options, known)
        ]
        findings = list(diagnose(using)) if options["explain"] else None
        if options["json"]:
            self.print_json(_as_json(using, found, findings))
        else:
            for line in _lines(using, found, findings):
                self.stdout.write(line)
        limit = options["fail_if_older"]
        late = [
            f"An event{each.of} has waited for {duration(oldest)}, longer than {limit} s. "
            f"{_cause(each)}"
            for each in found
            if limit is not None
            and (oldest := each.status.backlog.oldest) is not None
            and oldest > limit
        ]
        if late:
            self.stderr.write("\n".join(late))
            sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a destination stands; ``label`` is its name where there are others."""

    name: str
    label: str
    is_in_settings: bool
    status: Status
    known_ids: Count

    @property
    def of(self) -> str:
        return f" for destination {self.label!r}" if self.label else ""


def _lines(using: str, found: list[_Standing], findings: list[Finding] | None) -> Iterator[str]:
    for each in found:
        yield f"Outbox of database {using!r}{each.of}"
        if not each.is_in_settings:
            yield _row("settings", _GONE)
        yield from _figures(each.status, each.known_ids)
    for problem in problems():
        yield f"Setting at fault: {problem} {problem.fix}"
    if findings is not None:
        yield "Database"
        for finding in findings:
            yield _row(finding.probe, finding.text if finding.is_fine else f"! {finding.text}")


def _figures(status: Status, known_ids: Count) -> Iterator[str]:
    backlog = status.backlog
    yield _row("pending", _pile(backlog.pending))
    if backlog.pending.count.number:
        yield _row(
            "",
            f"{backlog.due} due, {backlog.in_flight} in flight, {backlog.waiting} for later",
        )
    yield _row("oldest", "-" if backlog.oldest is None else f"waits for {duration(backlog.oldest)}")
    yield _row("rejected", _pile(backlog.rejected))
    yield _row("delivered ids", f"{known_ids} kept, to tell repeats")
    yield "Delivery"
    yield _row("circuit", _circuit(status))
    yield _row("relay", _relay(status))
    yield _row("rate", _rate(status))
    yield _row("drained", _drain(status))
    yield _row("last success", _ago(status.last_success_ago))
    yield _row("last error", _last_error(status))
    yield "Totals"
    yield _row("delivered", f"{status.delivered:,}")
    yield _row("rejected", f"{status.rejected:,}")
    yield _row("retried", f"{status.retried:,}")
    yield _row("dropped", f"{status.dropped:,} browsing events, from full buffers")


def _row(name: str, text: str) -> str:
    return f"  {name:<14}{text}"


def _pile(pile: Pile) -> str:
    types = ", ".join(f"{name} {number:,}" for name, number in pile.types.items())
    if not types:
        return str(pile.count)
    looked_at = f"of {sum(pile.types.values()):,} looked at: " if pile.is_sample else ""
    return f"{pile.count} ({looked_at}{types})"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{duration(seconds)} ago"


def _circuit(status: Status) -> str:
    text = status.state.value
    if status.since_ago is not None:
        text += f" for {duration(status.since_ago)}"
    if status.state is State.PAUSED:
        text += ", by an operator: go on with moloco_resume"
    if _WHY[status.reason]:
        text += f"; {_WHY[status.reason]}"
    if status.failures:
        text += f"; {status.failures} failure{'' if status.failures == 1 else 's'} in a row"
    if status.probe_in is not None:
        text += (
            f"; next try in {duration(status.probe_in)}" if status.probe_in else "; next try now"
        )
    return text


def _relay(status: Status) -> str:
    seen = status.relay_seen_ago
    text = "never seen" if seen is None else f"last seen {_ago(seen)}"
    return text if status.is_relayed else f"{text}: none runs, it seems; start moloco_relay"


def _rate(status: Status) -> str:
    text = f"{status.rate:.1f} calls a second"
    if status.adapted_rate is not None:
        text += f"; limited to {status.adapted_rate:.1f}, as Moloco asked for fewer"
    if status.throttled:
        number = status.throttled
        text += f"; {number} identifier{'' if number == 1 else 's'} throttled by Moloco"
    return text


def _drain(status: Status) -> str:
    count = status.backlog.pending.count
    if not count.number:
        return "nothing waits"
    if status.state is State.PAUSED:
        return "never, while it is paused"
    if status.state is not State.CLOSED:
        return "not before Moloco accepts an event again"
    if not status.is_relayed:
        return "never, while no relay runs"
    seconds = status.drain_seconds
    if seconds is None:
        return "not known: nothing was sent in the last seconds"
    return f"in {'more than' if count.is_more else 'about'} {duration(seconds)}, at this rate"


def _last_error(status: Status) -> str:
    if status.last_error_ago is None:
        return "never"
    answer = "no answer" if status.last_status is None else f"HTTP {status.last_status}"
    return f"{_ago(status.last_error_ago)}: {answer}, {status.last_error}"


def _cause(standing: _Standing) -> str:
    if not standing.is_in_settings:
        return f"Destination: {_GONE}."
    status = standing.status
    if not status.is_relayed:
        return f"Relay {_relay(status)}."
    if status.state is not State.CLOSED:
        return f"The circuit is {_circuit(status)}."
    return f"The circuit is closed; {_rate(status)}; drained {_drain(status)}."


def _as_json(using: str, found: list[_Standing], findings: list[Finding] | None) -> dict[str, Any]:
    figures = {
        each.name: {
            "in_settings": each.is_in_settings,
            **_figures_as_json(each.status, each.known_ids),
        }
        for each in found
    }
    values: dict[str, Any] = {"database": using}
    values |= {"destinations": figures} if len(found) > 1 else figures[found[0].name]
    values["settings_at_fault"] = [str(problem) for problem in problems()]
    if findings is not None:
        values["database_findings"] = [asdict(finding) for finding in findings]
    return values


def _figures_as_json(status: Status, known_ids: Count) -> dict[str, Any]:
    backlog = status.backlog
    return {
        "pending": _pile_as_json(backlog.pending)
        | {
            "due": asdict(backlog.due),
            "in_flight": asdict(backlog.in_flight),
            "for_later": asdict(backlog.waiting),
            "oldest_seconds": backlog.oldest,
        },
        "rejected": _pile_as_json(backlog.rejected),
        "delivered_ids": asdict(known_ids),
        "circuit": {
            "state": status.state.value,
            "reason": status.reason.value or None,
            "failures": status.failures,
            "since_seconds": status.since_ago,
            "next_try_in_seconds": status.probe_in,
        },
        "relay_seen_seconds_ago": status.relay_seen_ago,
        "calls_per_second": status.rate,
        "limited_to_per_second": status.adapted_rate,
        "throttled_identifiers": status.throttled,
        "drained_in_seconds": status.drain_seconds,
        "last_success_seconds_ago": status.last_success_ago,
        "last_error": None
        if status.last_error_ago is None
        else {
            "seconds_ago": status.last_error_ago,
            "status": status.last_status,
            "message": status.last_error,
        },
        "totals": {
            "delivered": status.delivered,
            "rejected": status.rejected,
            "retried": status.retried,
            "dropped": status.dropped,
        },
    }


def _pile_as_json(pile: Pile) -> dict[str, Any]:
    return {
        **asdict(pile.count),
        "types": dict(pile.types),
        "types_of": sum(pile.types.values()),
    }
