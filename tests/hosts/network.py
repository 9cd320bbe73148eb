"""
Hosts of one network on one machine: network namespaces, each with an address of its own, whose
cables meet in a bridge. Nothing of it can be reached from the machine itself, nor the other way.

It takes root and iproute2, and no kernel module but those for veth and bridges: netem and packet
filters are not everywhere. So what gets lost is sent to a MAC address that nobody has, and what is
refused is sent to a host, the wall, that has the same IP address and listens to nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

_MAC = "02:00:00:00:00:{:02x}"
_NOBODY = "02:00:00:00:ff:ff"
_LAN, _WALL = "lan", "wall"
#: Seconds after which a process that was told to end is killed.
_PATIENCE = 30.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Host:
    """One host: what is started on it sees its network only."""

    def __init__(self, name: str, number: int, prefix: str) -> None:
        self.name = name
        self.namespace = f"{prefix}-{name}"
        self.address = f"10.99.0.{10 + number}"
        self.mac = _MAC.format(number)

    def start(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        user: str | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """
        Start a process, which gets the pid of the returned one, and is killed if the tests are.

        :param user: whose process it is, root's by default
        """
        other = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return subprocess.Popen(
            [
                *("ip", "netns", "exec", self.namespace),
                *("setpriv", *other, "--pdeathsig=KILL", *arguments),
            ],
            env=environment,
            text=True,
            bufsize=1,
            **options,
        )


class Network:
    """
    A context manager: makes hosts of these names, and takes them away again.

    :param servers: those of them that may be cut off with a refusal
    :param localhost: the one that all others know as ``localhost``: the sandbox has no other name
    """

    def __init__(self, *names: str, servers: Sequence[str], localhost: str) -> None:
        # Two runs at a time must not meet.
        self._prefix = f"moloco{os.getpid()}"
        self._hosts = {
            name: Host(name, number, self._prefix) for number, name in enumerate(names, 1)
        }
        self._wall = Host(_WALL, len(names) + 1, self._prefix)
        self._servers = [self._hosts[name] for name in servers]
        self._localhost = self._hosts[localhost]
        self._stack = ExitStack()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _build(self, stack: ExitStack) -> None:
        hosts = [*self._hosts.values(), self._wall]
        lan = f"{self._prefix}-{_LAN}"
        for namespace in (lan, *(host.namespace for host in hosts)):
            ip("netns", "add", namespace)
            stack.callback(ip, "netns", "delete", namespace)
        for host in self._hosts.values():
            # What ip-netns puts in place of the machine's own.
            files = Path("/etc/netns") / host.namespace
            files.mkdir(parents=True)
            stack.callback(shutil.rmtree, files)
            (files / "hosts").write_text(f"{self._localhost.address} localhost\n")
        ip("-n", lan, "link", "add", "bridge", "type", "bridge")
        ip("-n", lan, "link", "set", "bridge", "up")
        for host in hosts:
            ip(
                *("-n", lan, "link", "add", host.name, "type", "veth"),
                *("peer", "name", "eth0", "address", host.mac, "netns", host.namespace),
            )
            ip("-n", lan, "link", "set", host.name, "master", "bridge", "up")
            if host is not self._wall:
                ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
            ip("-n", host.namespace, "link", "set", "lo", "up")
            ip("-n", host.namespace, "link", "set", "eth0", "up")
        for server in self._servers:
            ip("-n", self._wall.namespace, "addr", "add", f"{server.address}/32", "dev", "lo")
        ip("-n", self._wall.namespace, "route", "add", "10.99.0.0/24", "dev", "eth0")
        for host in hosts:
            for other in self._hosts.values():
                if other is not host:
                    self._neighbour(host, other, other.mac)

    @staticmethod
    def _neighbour(host: Host, other: Host, mac: str) -> None:
        # Permanent: a host that asks in vain for a MAC address tells its processes of it after
        # three seconds. Behind a router nobody would.
        ip(
            *("-n", host.namespace, "neigh", "replace", other.address),
            *("lladdr", mac, "dev", "eth0", "nud", "permanent"),
        )

    @contextmanager
    def silent(self, one: str, other: str) -> Iterator[None]:
        """Lose each packet between two hosts, both ways, without a word to either."""
        first, second = self[one], self[other]
        with ExitStack() as stack:
            for host, peer in ((first, second), (second, first)):
                stack.callback(self._neighbour, host, peer, peer.mac)
                self._neighbour(host, peer, _NOBODY)
            yield

    @contextmanager
    def refused(self, client: str, server: str) -> Iterator[None]:
        """Answer whatever one host sends to a server with a reset; the server hears nothing."""
        near, far = self[client], self[server]
        assert far in self._servers
        with ExitStack() as stack:
            stack.callback(self._neighbour, near, far, far.mac)
            stack.callback(self._neighbour, far, near, near.mac)
            self._neighbour(far, near, _NOBODY)
            self._neighbour(near, far, self._wall.mac)
            yield

    @contextmanager
    def unplugged(self, name: str) -> Iterator[None]:
        """Take down a host's port of the bridge, as when its cable is pulled out."""
        lan = f"{self._prefix}-{_LAN}"
        ip("-n", lan, "link", "set", name, "down")
        try:
            yield
        finally:
            ip("-n", lan, "link", "set", name, "up")


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> int:
    """End a process by a signal, and by force if that is not enough; return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def scratch() -> Any:
    """A file for what a process writes to its standard error."""
    return tempfile.TemporaryFile("w+")
