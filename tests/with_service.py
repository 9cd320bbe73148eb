"""Run a command that needs a service which this machine may lack.

    python tests/with_service.py postgresql -- python -m pytest

Services: ``postgresql``, ``mariadb``, ``mariadb-repeatable-read``, ``chromium``, ``hosts``. The
command gets the service through its environment: TEST_DATABASE_URL (taken from TEST_POSTGRESQL_URL
or TEST_MARIADB_URL, or the server on this machine's usual port), TEST_ISOLATION, CHROMIUM, or
HOSTS_POSTGRESQL and HOSTS_FAKETIME.

A missing service is one line and exit status 0. With CI set in the environment it is a failure:
there every service has to be present, or a green run would say less than it seems to.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ

POSTGRESQL_URL = "postgres://postgres@127.0.0.1:5432/moloco_rmp"
MARIADB_URL = "mysql://root@127.0.0.1:3306/moloco_rmp"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS_TO_ANSWER = 5


class MissingServiceError(Exception):
    """This machine lacks the service; the text says what was looked for and how to name another."""


def answering(url: str, default_port: int, variable: str) -> dict[str, Any]:
    """The connection settings in a database URL, once something listens there."""
    server: dict[str, Any] = environ.Env.db_url_config(url)
    server["PORT"] = server["PORT"] or default_port
    try:
        socket.create_connection((server["HOST"], server["PORT"]), SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise MissingServiceError(
            f"no server answers at {server['HOST']}:{server['PORT']} ({error}); "
            f"set {variable} to use another"
        ) from error
    return server


def postgresql() -> dict[str, str]:
    url = os.environ.get("TEST_POSTGRESQL_URL", POSTGRESQL_URL)
    server = answering(url, 5432, "TEST_POSTGRESQL_URL")
    psycopg = importlib.import_module("psycopg")
    try:
        psycopg.connect(
            host=server["HOST"],
            port=server["PORT"],
            user=server["USER"],
            password=server["PASSWORD"] or None,
            dbname="postgres",
            connect_timeout=SECONDS_TO_ANSWER,
        ).close()
    except psycopg.Error as error:
        raise MissingServiceError(f"login refused ({error}); set TEST_POSTGRESQL_URL") from error
    return {"TEST_DATABASE_URL": url}


def mariadb(isolation: str = "read committed") -> dict[str, str]:
    url = os.environ.get("TEST_MARIADB_URL", MARIADB_URL)
    server = answering(url, 3306, "TEST_MARIADB_URL")
    if importlib.util.find_spec("MySQLdb") is None:
        # Not among the environment's dependencies: it has no wheels for Linux, and a machine
        # without the server needs neither a compiler nor the client's headers.
        install = [sys.executable, "-m", "pip", "install", "-qq", "mysqlclient>=2.2.1"]
        if subprocess.run(install, check=False).returncode != 0:
            raise MissingServiceError("mysqlclient could not be built: see its error above")
        importlib.invalidate_caches()
    try:
        driver = importlib.import_module("MySQLdb")
    except ImportError as error:
        raise MissingServiceError(f"mysqlclient does not load: {error}") from error
    try:
        driver.connect(
            host=server["HOST"],
            port=server["PORT"],
            user=server["USER"],
            password=server["PASSWORD"] or "",
            connect_timeout=SECONDS_TO_ANSWER,
        ).close()
    except driver.Error as error:
        raise MissingServiceError(f"login refused ({error}); set TEST_MARIADB_URL") from error
    return {"TEST_DATABASE_URL": url, "TEST_ISOLATION": isolation}


def mariadb_repeatable_read() -> dict[str, str]:
    return mariadb("repeatable read")


def chromium() -> dict[str, str]:
    names = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else CHROMIUM_NAMES
    for name in names:
        path = shutil.which(name)
        if path is None:
            continue
        # Some distributions put a script there that only says where to get the browser.
        version = subprocess.run([path, "--version"], check=False, capture_output=True)
        if version.returncode == 0:
            return {"CHROMIUM": path}
    raise MissingServiceError(
        f"none of {', '.join(names)} is on PATH; set CHROMIUM to a browser's path"
    )


def hosts() -> dict[str, str]:
    """What several hosts on one machine take: root, and programs of Debian's packages."""
    if os.geteuid() != 0:
        raise MissingServiceError("network namespaces are made by root only")
    for program in ("ip", "setpriv"):
        if shutil.which(program) is None:
            raise MissingServiceError(f"{program} (iproute2, util-linux) is not on PATH")
    name = f"moloco{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise MissingServiceError(f"no network namespace can be made: {made.stderr.strip()}")
    subprocess.run(["ip", "netns", "delete", name], check=True)
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not binaries:
        raise MissingServiceError("there is no /usr/lib/postgresql/*/bin/initdb")
    if importlib.util.find_spec("psycopg") is None:
        raise MissingServiceError("psycopg is not installed")
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        raise MissingServiceError("libfaketime is not installed in /usr/lib/*/faketime")
    return {"HOSTS_POSTGRESQL": str(binaries[-1].parent), "HOSTS_FAKETIME": str(libraries[-1])}


SERVICES: dict[str, Callable[[], dict[str, str]]] = {
    "postgresql": postgresql,
    "mariadb": mariadb,
    "mariadb-repeatable-read": mariadb_repeatable_read,
    "chromium": chromium,
    "hosts": hosts,
}


def main(arguments: list[str]) -> None:
    if len(arguments) < 3 or arguments[0] not in SERVICES or arguments[1] != "--":
        sys.exit(f"usage: with_service.py {{{','.join(SERVICES)}}} -- COMMAND...")
    service, command = arguments[0], arguments[2:]
    try:
        settings = SERVICES[service]()
    except MissingServiceError as error:
        if os.environ.get("CI"):
            sys.exit(f"FAILED: {service} is missing, and CI is set: {error}")
        print(f"SKIPPED: {service} is missing: {error}", flush=True)
        return
    # Replaces this process, so that signals and the exit status are the command's own.
    os.execvpe(command[0], command, os.environ | settings)


if __name__ == "__main__":
    main(sys.argv[1:])
