from __future__ import annotations

import hashlib
import hmac
import re
import time
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from django_moloco_rmp.identity import (
    MAX_HEADER_LENGTH,
    MAX_HOPS,
    Address,
    IdentifierKind,
    TrustedProxies,
    client_ip,
    derive_key,
    hash_identifier,
    is_browser_id,
    new_browser_id,
    parse_address,
    truncate_ip,
)
from tests.strategies import any_text

KEY = derive_key("secret")
KINDS: tuple[IdentifierKind, ...] = ("user_id", "persistent_id", "custom_id")
PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
V4 = "203.0.113.7"
V6 = "2001:db8::7"


def found(
    remote_addr: str | None,
    forwarded_for: str | None = None,
    forwarded: str | None = None,
    trusted: TrustedProxies = PROXIES,
) -> str | None:
    address = client_ip(remote_addr, forwarded_for, forwarded, trusted)
    return None if address is None else str(address)


def test_hash_is_for_ever() -> None:
    # Pinned: a shopper has to stay the same shopper across releases.
    assert (
        hash_identifier("user_id", "42", derive_key("secret"))
        == "fd530eaba59dc2a9d09f2442ffff1c8c282402990b1c0c76db8b448662f5cdcf"
    )


def test_hash_is_an_hmac_of_kind_and_value() -> None:
    expected = hmac.new(KEY, b"persistent_id\0abc", hashlib.sha256).hexdigest()
    assert hash_identifier("persistent_id", "abc", KEY) == expected


def test_kinds_have_hashes_of_their_own() -> None:
    assert len({hash_identifier(kind, "1", KEY) for kind in KINDS}) == 3


def test_keys_have_hashes_of_their_own() -> None:
    other = derive_key("another secret")
    assert hash_identifier("user_id", "1", KEY) != hash_identifier("user_id", "1", other)


def test_key_does_not_hold_the_secret() -> None:
    assert len(KEY) == 32
    assert b"secret" not in KEY


@given(st.sampled_from(KINDS), any_text, any_text)
def test_any_text_can_be_hashed(kind: IdentifierKind, value: str, secret: str) -> None:
    assert re.fullmatch("[0-9a-f]{64}", hash_identifier(kind, value, derive_key(secret)))


@given(any_text, any_text)
@example("\ud800", "?")
def test_different_values_have_different_hashes(one: str, other: str) -> None:
    assume(one != other)
    assert hash_identifier("user_id", one, KEY) != hash_identifier("user_id", other, KEY)


def test_new_browser_id_is_one() -> None:
    assert is_browser_id(new_browser_id())


def test_browser_ids_differ() -> None:
    assert len({new_browser_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        b"0" * 32,
        ["0"] * 32,
        "",
        "0" * 31,
        "0" * 33,
        "0" * 4096,
        "A" * 32,
        "g" * 32,
        "0" * 31 + "\n",
        "0" * 32 + "\n",
        " " + "0" * 32,
        "\u0660" * 32,
        "0" * 31 + "\x00",
    ],
)
def test_what_is_no_browser_id(value: object) -> None:
    assert not is_browser_id(value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", V4),
        (" 203.0.113.7\t", V4),
        ("203.0.113.7:4711", V4),
        ("203.0.113.7:_port", V4),
        ('"203.0.113.7:4711"', V4),
        ("2001:db8::7", V6),
        ("2001:DB8:0:0::7", V6),
        ("[2001:db8::7]", V6),
        ("[2001:db8::7]:4711", V6),
        ("[2001:db8::7]:_x.y-z", V6),
        ('"[2001:db8::7]:4711"', V6),
        ("::ffff:203.0.113.7", V4),
        ("::ffff:cb00:7107", V4),
        ("[::ffff:203.0.113.7]:4711", V4),
        ("::1", "::1"),
    ],
)
def test_address(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        '"',
        '""',
        "unknown",
        "_hidden",
        "localhost",
        "unix:",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.07",
        "0x7f.1",
        "3405803783",
        "203.0.113.7/32",
        "203.0.113.7:",
        "203.0.113.7:123456",
        "203.0.113.7:http",
        "203.0.113.7 198.51.100.1",
        "203.0.113.7\x00",
        "203.0.113.\u0667",
        "[203.0.113.7]",
        "[2001:db8::7",
        "2001:db8::7]",
        "[[2001:db8::7]]",
        "2001:db8::7::1",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "1:2:3:4:5:6:7:8:9",
        '"203.0.113.7',
        "'203.0.113.7'",
        "\udcff",
    ],
)
def test_no_address(text: str) -> None:
    assert parse_address(text) is None


@given(any_text)
def test_any_text_is_an_address_or_none(text: str) -> None:
    address = parse_address(text)
    assert address is None or ip_address(str(address)) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("ffff:ffff:ffff:ffff::", "ffff:ffff:ffff::"),
    ],
)
def test_truncate(address: str, network: str) -> None:
    assert truncate_ip(ip_address(address)) == ip_address(network)


@given(st.ip_addresses())
def test_truncated_address_is_in_the_same_network(address: Address) -> None:
    length = 24 if isinstance(address, IPv4Address) else 48
    network = ip_network(
        (int(address), length) if address.version == 4 else (address, length), False
    )
    assert truncate_ip(address) == network.network_address


@pytest.mark.parametrize("trusted", [(), 0, False, -1])
@pytest.mark.parametrize("header", [None, "198.51.100.1", "garbage"])
def test_headers_are_not_read_without_trust(trusted: TrustedProxies, header: str | None) -> None:
    assert found(V4, header, None, trusted) == V4
    assert found(V4, None, header and f"for={header}", trusted) == V4


@pytest.mark.parametrize("remote_addr", [None, "", "unix:", "garbage"])
@pytest.mark.parametrize("trusted", [(), 1, PROXIES])
def test_no_remote_address(remote_addr: str | None, trusted: TrustedProxies) -> None:
    assert found(remote_addr, trusted=trusted) is None


@pytest.mark.parametrize(
    ("remote_addr", "header", "address"),
    [
        pytest.param(V4, "198.51.100.1", V4, id="peer is no proxy"),
        pytest.param("10.0.0.1", V4, V4, id="one proxy"),
        pytest.param("10.0.0.1", f"{V4}, 10.0.0.3, 10.0.0.2", V4, id="three proxies"),
        pytest.param("10.0.0.1", f"198.51.100.1, {V4}, 10.0.0.2", V4, id="forged hop"),
        pytest.param("10.0.0.1", f"10.0.0.9, {V4}, 10.0.0.2", V4, id="forged proxy"),
        pytest.param("10.0.0.1", f"{V4}:4711,10.0.0.2:80", V4, id="ports"),
        pytest.param("2001:db8:ffff::1", f"{V6},[2001:db8:ffff::2]:80", V6, id="ipv6"),
        pytest.param("::ffff:10.0.0.1", f"{V4}", V4, id="mapped peer"),
        pytest.param("10.0.0.1", f"{V4},::ffff:10.0.0.2", V4, id="mapped proxy"),
        pytest.param("10.0.0.1", "::ffff:203.0.113.7", V4, id="mapped shopper"),
        pytest.param("10.0.0.1", None, "10.0.0.1", id="no header"),
        pytest.param("10.0.0.1", " \t", "10.0.0.1", id="blank header"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", id="from the inside"),
        pytest.param("10.0.0.1", f"{V4}, unknown", None, id="unknown"),
        pytest.param("10.0.0.1", f"{V4}, _hidden, 10.0.0.2", None, id="hidden"),
        pytest.param("10.0.0.1", f"{V4}, ", None, id="empty hop"),
        pytest.param("10.0.0.1", f"unknown, {V4}", V4, id="garbage left of the shopper"),
        pytest.param("unix:", V4, None, id="peer that is no address"),
    ],
)
def test_trusted_networks(remote_addr: str, header: str | None, address: str | None) -> None:
    assert found(remote_addr, header) == address
    if header is not None and not header.isspace():
        quoted = ",".join(f'for="{hop.strip()}"' for hop in header.split(","))
        assert found(remote_addr, None, quoted) == address


@pytest.mark.parametrize(
    ("trusted", "header", "address"),
    [
        pytest.param(1, V4, V4, id="one"),
        pytest.param(1, f"198.51.100.1, {V4}", V4, id="one, and a forged hop"),
        pytest.param(2, f"198.51.100.1, {V4}, 10.0.0.2", V4, id="two, and a forged hop"),
        pytest.param(2, f"{V4}, unknown", V4, id="proxy without an address"),
        pytest.param(2, V4, "10.0.0.1", id="fewer hops than proxies"),
        pytest.param(1, None, "10.0.0.1", id="no header"),
        pytest.param(1, f"{V4}, unknown", None, id="unknown"),
        pytest.param(2, f"{V4}, , 10.0.0.2", None, id="empty hop"),
        pytest.param(MAX_HOPS, f"{V4}{', 10.0.0.2' * (MAX_HOPS - 1)}", V4, id="most hops"),
    ],
)
def test_number_of_proxies(trusted: int, header: str | None, address: str | None) -> None:
    assert found("10.0.0.1", header, None, trusted) == address
    if header is not None:
        quoted = ",".join(f'for="{hop.strip()}"' for hop in header.split(","))
        assert found("10.0.0.1", None, quoted, trusted) == address


def test_number_of_proxies_works_behind_a_unix_socket() -> None:
    assert found("", f"198.51.100.1, {V4}", None, 1) == V4


@pytest.mark.parametrize(
    ("element", "address"),
    [
        (f"for={V4}", V4),
        (f"For={V4}", V4),
        (f"FOR={V4}; proto=https ;by=10.0.0.1;host=shop.example", V4),
        (f'proto=https;host="shop.example:8000";for="{V4}:4711"', V4),
        (f'by="_secret";for="[{V6}]:4711"', V6),
        (f"for=[{V6}]", V6),
        (f" for={V4}; ", V4),
        (f"for={V4};x-any.token!=1", V4),
        ("proto=https", None),
        ("for=", None),
        ('for=""', None),
        ("for", None),
        (f"for = {V4}", None),
        (f"for={V4};for={V4}", None),
        (f"for=;for={V4}", None),
        (f"for={V4} proto=https", None),
        (f'for="{V4}', None),
        (f'for={V4}"', None),
        (f'for="{V4}"x', None),
        (f'for="\\{V4}"', None),
        (f'for={V4};host="\\""', None),
        (f'for={V4};host="\\"', None),
        (f"={V4}", None),
    ],
)
def test_forwarded_element(element: str, address: str | None) -> None:
    assert found("10.0.0.1", None, element) == address
    assert found("10.0.0.1", None, element, 1) == address


@pytest.mark.parametrize(
    "tail",
    [
        # What a careless proxy makes of a Host header with quotes and commas in it.
        'for=203.0.113.7;host="a,for=6.6.6.6,b"',
        'for=203.0.113.7;host="a,for=6.6.6.6;x=,b"',
        'for=203.0.113.7;host="a\\",for=6.6.6.6;x=\\"b"',
        'for=203.0.113.7;host="a,for=6.6.6.6"',
    ],
)
@pytest.mark.parametrize("trusted", [PROXIES, 1, 2, 3])
def test_address_within_a_quoted_text_is_not_believed(tail: str, trusted: TrustedProxies) -> None:
    far = isinstance(trusted, int) and trusted > tail.count(",") + 1
    assert found("10.0.0.1", None, tail, trusted) == ("10.0.0.1" if far else None)


def test_both_headers_agree() -> None:
    assert found("10.0.0.1", f"1.1.1.1, {V4}:1", f"for=2.2.2.2, for={V4};proto=https") == V4


@pytest.mark.parametrize(
    ("forwarded_for", "forwarded"),
    [
        (V4, "for=198.51.100.1"),
        (V4, "for=unknown"),
        (V4, "garbage"),
        ("unknown", f"for={V4}"),
    ],
)
@pytest.mark.parametrize("trusted", [PROXIES, 1])
def test_headers_that_disagree(forwarded_for: str, forwarded: str, trusted: TrustedProxies) -> None:
    assert found("10.0.0.1", forwarded_for, forwarded, trusted) is None


@pytest.mark.parametrize(("forwarded_for", "forwarded"), [(V4, " "), ("", f"for={V4}")])
def test_blank_header_is_absent(forwarded_for: str, forwarded: str) -> None:
    assert found("10.0.0.1", forwarded_for, forwarded) == V4


#: Addresses of PROXIES.
proxy_addresses = st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(
    network="2001:db8:ffff::/48"
)
shopper_addresses = st.ip_addresses().filter(
    lambda address: not any((parse_address(str(address)) or address) in net for net in PROXIES)
)
ports = st.sampled_from(["", ":80", ":65535", ":_x"])
#: What a shopper may write: anything, but above all what looks like the real thing.
forged = any_text | st.lists(
    st.sampled_from(["6.6.6.6", "10.0.0.1", "for=6.6.6.6", 'for="6.6.6.6', '"', "\\", ";", " ", ""])
    | any_text,
    max_size=200,
).map(",".join)


def node(address: Address, port: str) -> str:
    return f"[{address}]{port}" if address.version == 6 and port else f"{address}{port}"


@given(
    forged,
    shopper_addresses,
    st.lists(proxy_addresses, min_size=1, max_size=8),
    ports,
    st.sampled_from([",", ", "]),
    st.booleans(),
)
@example("6.6.6.6", ip_address(V4), [ip_address("10.0.0.1")], "", ",", False)
@example("1" * MAX_HEADER_LENGTH, ip_address(V4), [ip_address("10.0.0.1")], "", ",", False)
def test_nothing_a_shopper_writes_changes_the_address(
    forged: str,
    shopper: Address,
    proxies: list[Address],
    port: str,
    comma: str,
    by_number: bool,
) -> None:
    trusted: TrustedProxies = len(proxies) if by_number else PROXIES
    *hops, remote = [shopper, *proxies]
    real = parse_address(str(shopper))

    forwarded_for = comma.join([forged, *(node(hop, port) for hop in hops)])
    assert client_ip(str(remote), forwarded_for, None, trusted) == real

    elements = [f'for="{node(hop, port)}";proto=https' for hop in hops]
    forwarded = comma.join([forged, *elements])
    assert client_ip(str(remote), None, forwarded, trusted) == real

    # A header that no proxy of the shop knows can hide the address, but not change it.
    assert client_ip(str(remote), forwarded_for, forged, trusted) in {real, None}
    assert client_ip(str(remote), forged, forwarded, trusted) in {real, None}


@given(any_text, forged, forged, st.integers(-1, 70) | st.just(PROXIES))
def test_garbage_never_raises(
    remote_addr: str, forwarded_for: str, forwarded: str, trusted: TrustedProxies
) -> None:
    address = client_ip(remote_addr, forwarded_for, forwarded, trusted)
    assert address is None or ip_address(str(address)) == address


def test_half_an_address_is_not_taken_for_a_whole_one() -> None:
    hops = ",10.0.0.2" * 60
    header = "198.51.100.1" + hops.ljust(MAX_HEADER_LENGTH - len("8.51.100.1"))
    assert header[-MAX_HEADER_LENGTH:].startswith("8.51.100.1,")
    assert found("10.0.0.1", header) is None


def test_characters_beyond_the_limit_are_not_read() -> None:
    header = f"198.51.100.1,{V4},{'10.0.0.2'.rjust(MAX_HEADER_LENGTH)}"
    assert found("10.0.0.1", header, None, 2) != V4


def test_hops_beyond_the_limit_are_not_read() -> None:
    header = f"{V4}{', 10.0.0.2' * (MAX_HOPS + 1)}"
    assert found("10.0.0.1", header) is None


@pytest.mark.parametrize("trusted", [PROXIES, 1, 3])
@pytest.mark.parametrize(
    "hop",
    [
        "10.0.0.2,",
        "for=10.0.0.2,",
        'for="10.0.0.2";x="',
        " ",
        "\t;",
        ":",
        "1:",
        '"',
        "=",
        "[[",
        "9" * 50,
    ],
)
def test_header_bombs_are_read_quickly(hop: str, trusted: TrustedProxies) -> None:
    header = hop * (1_000_000 // len(hop))
    start = time.process_time()
    client_ip("10.0.0.1", header, header, trusted)
    # It takes a millisecond; reading it all, or in quadratic time, would take far longer.
    assert time.process_time() - start < 0.25


def test_thousand_hops_are_read_quickly() -> None:
    header = ", ".join(["198.51.100.1"] * 1000 + [V4, "10.0.0.2"])
    start = time.process_time()
    for _ in range(10):
        assert found("10.0.0.1", header) == V4
    assert time.process_time() - start < 0.25
