"""
Who the shopper is, as far as Moloco may know: keyed hashes, random browser ids, IP addresses.

Hashed identifiers are the platform's own business, but have to be hard to reverse and the same in
every API: https://mcm-docs.moloco.com/docs/generating-persistent-identifiers
"""

from __future__ import annotations

import hmac
import re
import secrets
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, TypeAlias

from django_moloco_rmp.text import is_ipv4

IdentifierKind: TypeAlias = Literal["user_id", "persistent_id", "custom_id"]

Address: TypeAlias = IPv4Address | IPv6Address

#: Networks of the proxies in front of the shop, or their number.
TrustedProxies: TypeAlias = tuple[IPv4Network | IPv6Network, ...] | int

#: Hops, and characters, of a forwarding header that are looked at, counted from the right.
MAX_HOPS = 64
MAX_HEADER_LENGTH = 4096

_BROWSER_ID = re.compile(r"[0-9a-f]{32}")
# An address in brackets, an address of one colon at most (IPv4), or one of several (IPv6). A port
# is a number, or a name that starts with an underscore (RFC 7239, section 6.2).
_NODE = re.compile(
    r"""
    (?: \[ (?P<bracketed> [0-9A-Fa-f:.]+ ) \] | (?P<v4> [0-9.]+ ) )
    (?: : (?: [0-9]{1,5} | _[A-Za-z0-9._-]+ ) )?
    | (?P<v6> [0-9A-Fa-f:.]+ )
    """,
    re.VERBOSE,
)
# name=value or name="value". Backslash escapes are left out on purpose: no address needs one, and
# they could hide where an element ends.
_PARAMETER = re.compile(r"""([^\s"\\=]+)=(?:"([^"\\]*)"|([^\s"\\]*))""")


# Asked for by each event. There are no more secrets in a process than tests have.
@lru_cache(maxsize=8)
def derive_key(secret_key: str) -> bytes:
    """Return the key for :func:`hash_identifier`, 32 bytes that do not give the secret away."""
    secret = secret_key.encode("utf-8", "surrogatepass")
    return hmac.digest(secret, b"django_moloco_rmp.identifiers", "sha256")


def hash_identifier(kind: IdentifierKind, value: str, key: bytes) -> str:
    """
    Return the keyed hash under which Moloco knows an identifier: 64 hexadecimal digits.

    The kind is part of the hash, so a user's and a session's equal ids stay unrelated.

    :param value: the raw identifier; it cannot be found again without the key
    :param key: as :func:`derive_key` returns it
    """
    message = b"\0".join((kind.encode(), value.encode("utf-8", "surrogatepass")))
    return hmac.digest(key, message, "sha256").hex()


def new_browser_id() -> str:
    """Return a new random id for a browser's cookie: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def is_browser_id(value: object) -> bool:
    """Return whether ``value`` is exactly what :func:`new_browser_id` could have returned."""
    return isinstance(value, str) and _BROWSER_ID.fullmatch(value) is not None


def client_ip(
    remote_addr: str | None,
    forwarded_for: str | None,
    forwarded: str | None,
    trusted: TrustedProxies,
) -> Address | None:
    """
    Return the shopper's IP address, or None if it cannot be told for sure.

    The headers are read from the right, where the shop's own proxies write, and never beyond the
    first address that is not one of theirs: everything further left can be forged. A word that is
    no address ends the search without a result. Should both headers be there they have to agree,
    since a proxy that sets one of them passes the other on as the shopper wrote it.

    :param remote_addr: ``REMOTE_ADDR``, the peer of the connection
    :param forwarded_for: the ``X-Forwarded-For`` header
    :param forwarded: the ``Forwarded`` header (RFC 7239)
    :param trusted: networks of the shop's proxies, or how many of them each request passes, up to
        :data:`MAX_HOPS`; with ``()`` or 0 the headers are not read at all. Networks need a peer
        with an address; behind a Unix socket only the number works.
    """
    remote = parse_address(remote_addr or "")
    chains = []
    if trusted:
        if forwarded_for and not forwarded_for.isspace():
            chains.append([parse_address(hop) for hop in _hops(forwarded_for)])
        if forwarded and not forwarded.isspace():
            chains.append(_forwarded_addresses(_hops(forwarded)))
    found = {_pick(remote, chain, trusted) for chain in chains} or {remote}
    return found.pop() if len(found) == 1 else None


def _hops(header: str) -> list[str]:
    hops = header[-MAX_HEADER_LENGTH:].rsplit(",", MAX_HOPS)
    if len(header) > MAX_HEADER_LENGTH:
        # Half an address may look like a whole one.
        hops[0] = ""
    return hops


def _forwarded_addresses(elements: list[str]) -> list[Address | None]:
    addresses: list[Address | None] = []
    for element in reversed(elements):
        node = _forwarded_node(element)
        addresses.append(parse_address(node or ""))
        if node is None:
            # Such an element may be a piece of a quoted text that has commas in it, and then so
            # may all to the left of it.
            addresses += [None] * (len(elements) - len(addresses))
            break
    return addresses[::-1]


def _forwarded_node(element: str) -> str | None:
    """Return the ``for`` of an element, blank if it has none; None if it is malformed."""
    nodes = []
    for parameter in element.split(";"):
        match = _PARAMETER.fullmatch(parameter.strip())
        if match is not None:
            name, quoted, plain = match.groups()
            if name.lower() == "for":
                nodes.append(quoted or plain or "")
        elif parameter.strip():
            return None
    return "".join(nodes) if len(nodes) < 2 else None


def _pick(
    remote: Address | None, chain: list[Address | None], trusted: TrustedProxies
) -> Address | None:
    if isinstance(trusted, int):
        return chain[-trusted] if 0 < trusted <= len(chain) else remote
    address = remote
    for hop in reversed(chain):
        if address is None or not any(address in network for network in trusted):
            break
        address = hop
    return address


def parse_address(text: str) -> Address | None:
    """
    Return the IP address of one hop, or None if there is none.

    Ports, brackets and quotes are dropped, and an IPv4 address mapped into IPv6 comes back as
    IPv4. Zone ids (``fe80::1%eth0``) mean nothing outside of one machine and are refused.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    match = _NODE.fullmatch(text)
    if match is None:
        return None
    if match["v4"]:
        if not is_ipv4(match["v4"]):
            return None
        # From its four bytes, for ipaddress takes long to read a text.
        return IPv4Address(bytes(map(int, match["v4"].split("."))))
    try:
        # Only IPv6 addresses are written in brackets.
        address = IPv6Address(match["bracketed"] or match["v6"])
    except ValueError:
        return None
    return address.ipv4_mapped or address


def truncate_ip(address: Address) -> Address:
    """Return the address of the network: the first 24 bits of IPv4, the first 48 of IPv6."""
    if isinstance(address, IPv4Address):
        return IPv4Address(int(address) >> 8 << 8)
    return IPv6Address(int(address) >> 80 << 80)
