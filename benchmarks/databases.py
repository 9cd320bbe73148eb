"""Throw-away databases of each kind that is here: made for one benchmark, and dropped after it."""

from __future__ import annotations

import importlib
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import environ

POSTGRESQL_URL = "postgres://postgres@127.0.0.1:5432/bench_moloco"
MARIADB_URL = "mysql://root@127.0.0.1:3306/bench_moloco"
SECONDS_TO_ANSWER = 5


class MissingDatabaseError(Exception):
    """There is no such server here, or no driver for it; the text says which."""


@contextmanager
def sqlite() -> Iterator[str]:
    """A file in a folder of its own, as Django has it by default."""
    with tempfile.TemporaryDirectory(prefix="bench_moloco_") as folder:
        yield f"sqlite:///{Path(folder) / 'db'}"


@contextmanager
def postgresql() -> Iterator[str]:
    """A database on the PostgreSQL server that BENCH_POSTGRESQL_URL names."""
    url = os.environ.get("BENCH_POSTGRESQL_URL", POSTGRESQL_URL)
    server = environ.Env.db_url_config(url)
    driver = _driver("psycopg")
    try:
        connection = driver.connect(
            host=server["HOST"],
            port=server["PORT"] or 5432,
            user=server["USER"],
            password=server["PASSWORD"] or None,
            dbname="postgres",
            connect_timeout=SECONDS_TO_ANSWER,
            autocommit=True,
        )
    except driver.Error as error:
        raise MissingDatabaseError(f"{error}; BENCH_POSTGRESQL_URL names another") from error
    with connection:
        name = _new_name()
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield _renamed(url, name)
        finally:
            # With force: a process that failed may still be connected.
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def mariadb() -> Iterator[str]:
    """A database on the MariaDB server that BENCH_MARIADB_URL names."""
    url = os.environ.get("BENCH_MARIADB_URL", MARIADB_URL)
    server = environ.Env.db_url_config(url)
    driver = _driver("MySQLdb")
    try:
        connection = driver.connect(
            host=server["HOST"],
            port=int(server["PORT"] or 3306),
            user=server["USER"],
            password=server["PASSWORD"] or "",
            connect_timeout=SECONDS_TO_ANSWER,
        )
    except driver.Error as error:
        raise MissingDatabaseError(f"{error}; BENCH_MARIADB_URL names another") from error
    name = _new_name()
    try:
        connection.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield _renamed(url, name)
        finally:
            # A benchmark may take longer than the server waits for a word.
            connection.ping(True)
            connection.query(f"DROP DATABASE {name}")
    finally:
        connection.close()


DATABASES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "SQLite": sqlite,
    "PostgreSQL": postgresql,
    "MariaDB": mariadb,
}


def present(say: Callable[[str], object], names: Sequence[str] = tuple(DATABASES)) -> list[str]:
    """Return which of the databases are here, and say which are not."""
    here = []
    for name in names:
        try:
            with DATABASES[name]():
                here.append(name)
        except MissingDatabaseError as error:
            say(f"Left out: {name}. {' '.join(str(error).split())}")
            say("")
    return here


def _driver(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDatabaseError(f"its driver cannot be imported: {error}") from error


def _new_name() -> str:
    return f"bench_moloco_{uuid.uuid4().hex[:12]}"


def _renamed(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
