"""``python -m benchmarks [NAME ...]``: what the package costs, in tables."""

from __future__ import annotations

import argparse
from functools import partial

from benchmarks import emit, middleware
from benchmarks.pairs import machine

BENCHMARKS = {"emit": emit.main, "middleware": middleware.main}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    options = parser.parse_args()
    unknown = set(options.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}")
    say = partial(print, flush=True)
    say(machine())
    for name in options.names or BENCHMARKS:
        say("")
        BENCHMARKS[name](say)


if __name__ == "__main__":
    main()
