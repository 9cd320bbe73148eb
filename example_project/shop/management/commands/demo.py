from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from demo import report
from demo.browser import Browser, BrowserError
from demo.shop import Shop, ShopError
from demo.walk import Expected, Walk
from django.core.management.base import BaseCommand, CommandError

from django_moloco_rmp.sandbox import SandboxServer

PLATFORM_ID = "SHOP_TEST"
API_KEY = "test-key"
ADMIN = "admin"
# How long the last event may take to arrive, and how long nothing more may come after it.
SECONDS_TO_ARRIVE = 15.0
SECONDS_OF_SILENCE = 0.5
ANY_WIDTH = 1000


class Command(BaseCommand):
    help = (
        "Start this shop and a sandbox on free ports of this machine, walk a shopper from a search "
        "engine to a paid order, and check that every event arrived. Exits 0 only if all did. "
        "Nothing is left behind, and nothing is sent to any other machine."
    )
    # It has a database of its own, and leaves the one in the settings alone.
    requires_system_checks: Sequence[str] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--serve",
            action="store_true",
            help="afterwards leave both running, until Ctrl-C",
        )
        parser.add_argument(
            "--api-key",
            default=API_KEY,
            metavar="KEY",
            help="the key the shop uses; with any other than the sandbox's (%(default)s) you see "
            "what a wrong key looks like",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        try:
            with (
                _interruptible(),
                tempfile.TemporaryDirectory(
                    prefix="moloco-demo-", ignore_cleanup_errors=True
                ) as folder,
                SandboxServer(PLATFORM_ID, API_KEY) as sandbox,
            ):
                secret = secrets.token_hex()
                variables = {
                    "MOLOCO_RMP_API_KEY": options["api_key"],
                    "MOLOCO_RMP_BASE_URL": sandbox.url,
                    "MOLOCO_RMP_PLATFORM_ID": PLATFORM_ID,
                    "PAYMENT_SECRET": secret,
                    "SECRET_KEY": secrets.token_hex(),
                }
                self.stdout.write("Starting a shop and a sandbox ...")
                with Shop(Path(folder), variables) as shop:
                    passed = self._walk(shop, sandbox, secret)
                    verdict = "Passed" if passed else "Failed"
                    self.stdout.write(f"\n{verdict} in {time.monotonic() - started:.1f} seconds.")
                    if options["serve"]:
                        password = secrets.token_urlsafe(9)
                        shop.add_admin(ADMIN, password)
                        self._serve(shop, sandbox, password)
                    elif passed:
                        self.stdout.write("With --serve you can walk around yourself, and watch.")
        except KeyboardInterrupt:
            self.stdout.write("\nInterrupted; everything is stopped.")
            sys.exit(130)
        except BrokenPipeError:
            # Whoever read this, `head` for one, has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (OSError, ShopError) as error:
            raise CommandError(str(error)) from None
        if not passed:
            sys.exit(1)

    def _walk(self, shop: Shop, sandbox: SandboxServer, secret: str) -> bool:
        browser = Browser(shop.url)
        walk = Walk(browser, secret, lambda text: self.stdout.write(f"  {text}"))
        self.stdout.write("A shopper")
        try:
            walk.run()
        except BrowserError as error:
            self.stdout.write(f"{self.style.ERROR('FAIL')}  {error}")
            self.stdout.write(f"\nThe shop printed last:\n{shop.printed()}")
            return False
        finally:
            browser.close()
        outcome = report.match(walk.expected, _received(sandbox, walk.expected))
        self.stdout.write("\nThe sandbox received")
        # What COLUMNS says, or the terminal; a pipe takes lines of any length.
        width = shutil.get_terminal_size((ANY_WIDTH, 0)).columns
        for line in report.table(outcome, width):
            self.stdout.write(line)
        self.stdout.write("")
        checks = report.check(outcome, walk.raw)
        for check in checks:
            verdict = self.style.ERROR("FAIL") if check.faults else self.style.SUCCESS("PASS")
            self.stdout.write(f"{verdict}  {check.name}")
            for fault in check.faults:
                self.stdout.write(f"      {fault}")
        passed = not any(check.faults for check in checks)
        if not passed:
            self.stdout.write(f"\nThe shop printed last:\n{shop.printed()}")
        return passed

    def _serve(self, shop: Shop, sandbox: SandboxServer, password: str) -> None:
        self.stdout.write(f"\nShop:    {shop.url}/")
        self.stdout.write(f"Sandbox: {sandbox.url}/")
        self.stdout.write(f"Admin:   {shop.url}/admin/moloco_rmp/gate/")
        self.stdout.write(f"         sign in as {ADMIN} with {password}")
        self.stdout.write(f"Health:  {shop.url}/moloco/health/")
        self.stdout.write("Walk around in the one and watch the other. Ctrl-C ends both.")
        # Who starts this as a process reads the addresses from a pipe.
        self.stdout.flush()
        try:
            shop.wait()
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        else:
            raise ShopError(f"The shop ended by itself:\n{shop.printed()}")


def _received(sandbox: SandboxServer, expected: Sequence[Expected]) -> list[Any]:
    """What the sandbox has, once as much has arrived as was expected, and a moment of silence."""
    count = len(expected)
    deadline = time.monotonic() + SECONDS_TO_ARRIVE
    events = sandbox.events()
    with suppress(TimeoutError):
        while len(events) < count and (left := deadline - time.monotonic()) > 0:
            # After a refusal the relay waits, and so what is missing will not come soon.
            is_refused = any(call["status"] != 200 for call in events)
            seconds = SECONDS_OF_SILENCE if is_refused else left
            events = sandbox.wait_for(len(events) + 1, seconds)
        sandbox.wait_for(count + 1, SECONDS_OF_SILENCE)
    return sandbox.events()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let whoever ends this process with a signal do the same as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = ["SIGINT", "SIGTERM"]
    # nohup is there to have this one ignored.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        names.append("SIGHUP")
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in names]
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
