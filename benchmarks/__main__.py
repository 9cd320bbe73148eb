"""``python -m benchmarks [NAME ...]``: what the package costs, in tables."""

from __future__ import annotations

import argparse
from functools import partial
from importlib import import_module

from benchmarks.pairs import machine

#: Each is a module with a ``main()``.
BENCHMARKS = (
    "emit",
    "middleware",
    "page",
    "purchase",
    "relay",
    "relays",
    "server",
    "backlog",
    "dashboard",
    "memory",
    "start",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--quick", action="store_true", help="little of the work: to try them, not for figures"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}")
    say = partial(print, flush=True)
    say(machine())
    for name in options.names or BENCHMARKS:
        say("")
        import_module(f"benchmarks.{name}").main(say, quick=options.quick)


if __name__ == "__main__":
    main()
