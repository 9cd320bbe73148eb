"""
Processes of their own: what is measured shares none with what measures it.

``python -m benchmarks.children MODULE ARGUMENTS`` is such a process: it sets Django up, and calls
the module's ``main()`` with the arguments.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self

import django


def environment(
    database: str, settings: Mapping[str, Any] | None = None, **variables: str
) -> dict[str, str]:
    """
    Return the environment of a process that has ``benchmarks.settings``.

    :param database: URL
    :param settings: keys of MOLOCO_RMP
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "BENCH_DATABASE_URL": database,
        "BENCH_MOLOCO_RMP": json.dumps(dict(settings or {})),
        **variables,
    }


class Child:
    """
    A context manager: a process that runs a module, says lines of JSON, and is told such lines.

    It ends by itself, or when what it reads has come to its end.
    """

    def __init__(self, env: Mapping[str, str], module: str, *arguments: object) -> None:
        self._env = env
        self._command = [sys.executable, "-m", __name__, module, *map(str, arguments)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def hear(self) -> Any:
        """Return what it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended with {self._process.wait()}")
        return json.loads(line)

    def tell(self, word: object) -> None:
        """Say a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(word)}\n")
        self._process.stdin.flush()

    def ask(self, word: object) -> Any:
        """Say a line to it, and return what it says then."""
        self.tell(word)
        return self.hear()

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()


def answer(env: Mapping[str, str], module: str, *arguments: object) -> Any:
    """Return the one thing that a process says."""
    with Child(env, module, *arguments) as child:
        return child.hear()


def say(word: object) -> None:
    """In such a process: say a line to the one that began it."""
    print(json.dumps(word), flush=True)


def hear() -> Any:
    """In such a process: return what the one that began it says next; None once it has ended."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


if __name__ == "__main__":
    django.setup()
    import_module(sys.argv[1]).main(*sys.argv[2:])
