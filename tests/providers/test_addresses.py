"""Which addresses a stranger may have us dial."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.addresses import canonical_host, is_open, parsed

#: https://www.iana.org/assignments/iana-ipv4-special-registry, and what isn't unicast.
SPECIAL_V4 = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24
198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
""".split()
#: https://www.iana.org/assignments/iana-ipv6-special-registry, and what was never given out.
SPECIAL_V6 = """
::/128 ::1/128 ::ffff:0:0:0/96 ::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64
2001::/32 2001:1::/32 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28
2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3ffe::/16 3fff::/20 4000::/3 5f00::/16
8000::/1 fc00::/7 fe80::/10 fec0::/10 ff00::/8
""".split()

METADATA = """
169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254
fd20:ce::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1
""".split()

PUBLIC = """
1.1.1.1 8.8.8.8 51.15.0.1 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.167.255.255
192.169.0.0 169.253.255.255 223.255.255.255 198.17.255.255 198.20.0.0 2606:4700:4700::1111
2a01:e0a::1 2001:4860:4860::8888 2c0f::1 ::ffff:8.8.8.8
""".split()


def within(networks: list[str]) -> st.SearchStrategy[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    def one(network: str) -> st.SearchStrategy[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        parsed_network = ipaddress.ip_network(network)
        first, last = int(parsed_network[0]), int(parsed_network[-1])
        kind = type(parsed_network[0])
        edges = st.sampled_from([first, last])
        return (edges | st.integers(first, last)).map(kind)

    return st.sampled_from(networks).flatmap(one)


CLOSED_V4 = within(SPECIAL_V4)
ANY_V4 = CLOSED_V4 | st.ip_addresses(v=4) | st.just(ipaddress.ip_address("8.8.8.8"))


@given(CLOSED_V4 | within(SPECIAL_V6))
def test_no_special_address_is_open(address: ipaddress.IPv4Address) -> None:
    assert not is_open(address)


@pytest.mark.parametrize("address", METADATA)
def test_no_clouds_metadata_is_open(address: str) -> None:
    assert not is_open(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_everybodys_is_open(address: str) -> None:
    assert is_open(ipaddress.ip_address(address))


@given(CLOSED_V4)
def test_a_mapped_address_is_judged_by_what_is_mapped(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address((0xFFFF << 32) + int(address))
    assert not is_open(mapped)
    assert parsed(str(mapped)) == address


def translated(address: ipaddress.IPv4Address) -> list[ipaddress.IPv6Address]:
    """All the ways in which an IPv4 address hides in an IPv6 address."""
    value, public = int(address), 0x20010CB8 << 96
    return [
        ipaddress.IPv6Address(number)
        for number in (
            (0x2002 << 112) | (value << 80) | 1,  # 6to4
            (0x20010000 << 96) | (0x08080808 << 64) | (value ^ 0xFFFF_FFFF),  # Teredo's client
            (0x20010000 << 96) | (value << 64) | 0xF7F7F7F7,  # Teredo's server
            (0x64FF9B << 96) | value,  # NAT64
            (0x64FF9B0001 << 80) | value,  # NAT64, local
            (0xFFFF << 48) | value,  # SIIT
            value,  # IPv4-compatible
            public | (0x00005EFE << 32) | value,  # ISATAP
            public | (0x02005EFE << 32) | value,
        )
    ]


@given(ANY_V4)
def test_what_translators_hide_is_closed_whatever_it_is(address: ipaddress.IPv4Address) -> None:
    for hidden in translated(address):
        assert not is_open(hidden), hidden


@given(ANY_V4)
def test_a_translator_that_is_allowed_hides_nothing_closed(address: ipaddress.IPv4Address) -> None:
    everything = [ipaddress.ip_network("::/0")]
    nat64, isatap = translated(address)[3], translated(address)[7]
    assert is_open(nat64, everything) == is_open(isatap, everything) == is_open(address)
    for hidden in translated(address):
        assert not is_open(hidden, everything) or is_open(address), hidden


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_nothing_is_open_that_python_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert address.is_global or not is_open(address)


@given(CLOSED_V4 | within(["fc00::/7", "fe80::/10", "::1/128"]))
def test_the_operator_opens_an_address_and_no_other(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    allowed = [ipaddress.ip_network(str(address))]
    assert is_open(address, allowed)
    assert not is_open(ipaddress.ip_address("192.168.77.77"), allowed) or str(address) == (
        "192.168.77.77"
    )


def test_a_zone_is_never_open() -> None:
    address = ipaddress.ip_address("fe80::1%eth0")
    assert not is_open(address, [ipaddress.ip_network("::/0")])


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("Example.FR", "example.fr"),
        ("example.fr.", "example.fr"),
        ("a_b.example.fr", "a_b.example.fr"),
        ("boulangerie-dupré.fr", "xn--boulangerie-dupr-qqb.fr"),
        ("BOULANGERIE-DUPRÉ.FR", "xn--boulangerie-dupr-qqb.fr"),
        ("xn--boulangerie-dupr-qqb.fr", "xn--boulangerie-dupr-qqb.fr"),
        ("exemple。fr", "exemple.fr"),
        ("localhost", "localhost"),  # judged by what it resolves to
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("[2001:DB8::0:1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("4chan.3com", "4chan.3com"),
        ("0x7f.example", "0x7f.example"),
        ("127.0.0.1.", "127.0.0.1"),
    ],
)
def test_a_host_as_it_is_looked_up(written: str, host: str) -> None:
    assert canonical_host(written) == host


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            "-a.fr",
            "a-.fr",
            "a b.fr",
            " a.fr",
            "a.fr\n",
            "a\t.fr",
        ),
        *("a\x00.fr", "a.fr\r\nHELO x", "user@a.fr", "a.fr:25", "a.fr/x", "a.fr?x", "a.fr#x"),
        *("a%2e.fr", "a\\b.fr", "a,b.fr", "a;b", "*.fr", "a" * 64 + ".fr", "a." * 126 + "frr"),
        *("0177.0.0.1", "2130706433", "0x7f000001", "0x7F.1", "127.1", "127.0.0.1.1", "1.2.3.256"),
        *(
            "01.2.3.4",
            "0x",
            "a.1",
            "example.0x7f",
            "１２７.０.０.１",
            "[::1",
            "::1]",
            "[127.0.0.1]",
        ),
        *("fe80::1%eth0", "[fe80::1%25eth0]", "::1::", "1:2", "a\u200b.fr", "ﬀ.fr", "a\u202e.fr"),
        *("\udcff.fr", "é" * 300 + ".fr"),
    ],
)
def test_what_is_no_host(written: str) -> None:
    # "a." is a name with a trailing dot.
    assert canonical_host(written) == ("a" if written == "a." else None)


@given(st.text(max_size=40) | st.text(alphabet="0123456789xabcdef.:[]%-_é。", max_size=40))
def test_any_text_is_a_host_or_none(written: str) -> None:
    host = canonical_host(written)
    assert host is None or (host.isascii() and len(host) <= 253 and canonical_host(host) == host)
