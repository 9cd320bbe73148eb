"""``python -m django_moloco_rmp.sandbox``."""

from __future__ import annotations

import argparse
import sys

from django_moloco_rmp.sandbox.cli import DESCRIPTION, EPILOG, add_arguments, run


def main() -> int:
    """Run the sandbox until it is told to stop; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m django_moloco_rmp.sandbox",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    options = parser.parse_args()
    return run(options, stdout=sys.stdout, stderr=sys.stderr)


sys.exit(main())
