"""Weak keys are seen; drawn ones pass, and by how much is worked out."""

import base64
import random
import string
from fractions import Fraction
from math import comb

import pytest

from domain import key_strength
from domain.key_strength import weakness


@pytest.mark.parametrize(
    "key",
    [
        b"\0" * 32,
        b"x" * 32,
        bytes.fromhex("0123456789abcdef" * 4),  # what this project's documentation once showed
        bytes.fromhex("deadbeef" * 8),
        bytes.fromhex("00112233445566778899aabbccddeeff" * 2),
        bytes.fromhex("0011223344556677" * 3 + "8899aabbccddeeff"),
        b"0123456789abcdef" * 2,
        bytes(range(32)),
        bytes(range(255, 223, -1)),
        bytes(3 * n % 256 for n in range(32)),
        b"0123456789abcdefghijklmnopqrstuv",
        b"\x01" + bytes(31),
        bytes(31) + b"\x01",
        random.Random(1).randbytes(16) + bytes(16),
        random.Random(2).randbytes(16) * 2,
        random.Random(3).randbytes(20) + random.Random(3).randbytes(12),
        b"changemechangemechangemechangeme",
        b"correcthorsebatterystaplecorrect",
        b"MonMotDePasseTresSecretPour2026!",
        b"thirtytwocharactersthatarehidden",
        b"this-is-the-encryption-key-32-ch",
        b"laCleSecreteDeNotreServeurVocal1",
        b"your-32-character-encryption-key",
        b"qwertyuiopasdfghjklzxcvbnm123456",
        b"azertyuiopqsdfghjklmwxcvbn123456",
        b"Coccinelle2026!Coccinelle2026!xx",
        b"12345678901234567890123456789012",
    ],
)
def test_weak_keys_are_seen(key: bytes) -> None:
    assert len(key) == 32
    told = weakness(key)
    assert told is not None
    assert told.split()[0] in {"is", "has", "repeats", "reads"}


#: How often a drawn key is refused, at most. Far below what anybody would ever meet.
NEVER = 1e-12


def test_32_random_bytes_are_refused_less_than_once_in_a_million_million() -> None:
    few = sum(_distinct(n, 256, 32) for n in range(key_strength.FEWEST_BYTES))
    most = 256 * _tail(key_strength.MOST_OF_ONE, 32)
    positions = 32 - key_strength.LONGEST_ECHO + 1
    echo = comb(positions, 2) * Fraction(1, 256**key_strength.LONGEST_ECHO)
    steps = 256 * _tail(key_strength.MOST_EQUAL_STEPS, 31)
    text = Fraction(95, 256) ** 32  # then other rules hold, which may refuse all of it
    assert few + most + echo + steps + text < NEVER


def test_text_of_32_random_hexadecimal_digits_is_hardly_ever_refused() -> None:
    few = sum(_distinct(n, 16, 32) for n in range(key_strength.FEWEST_CHARACTERS))
    positions = 32 - key_strength.LONGEST_ECHO + 1
    echo = comb(positions, 2) * Fraction(1, 16**key_strength.LONGEST_ECHO)
    assert few + echo < 1e-6


def test_drawn_keys_pass() -> None:
    dice = random.Random(20261122)
    printable = string.ascii_letters + string.digits + string.punctuation
    for _ in range(5_000):
        assert weakness(dice.randbytes(32)) is None
        assert weakness(dice.randbytes(16).hex().encode()) is None
        assert weakness(base64.b64encode(dice.randbytes(24))) is None
        assert weakness("".join(dice.choices(printable, k=32)).encode()) is None


def _distinct(count: int, kinds: int, drawn: int) -> Fraction:
    """The probability of exactly so many different ones among those drawn."""
    ways = sum((-1) ** k * comb(count, k) * (count - k) ** drawn for k in range(count + 1))
    return Fraction(comb(kinds, count) * ways, kinds**drawn)


def _tail(at_least: int, drawn: int) -> Fraction:
    """One given byte comes at least so often: no more than (ways to place them) · 256⁻ⁿ."""
    return comb(drawn, at_least) * Fraction(1, 256**at_least)
