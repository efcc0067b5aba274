import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.phone import is_withheld, normalise, spoken_digits

E164 = re.compile(r"\+[1-9][0-9]{1,14}")

# Ranges that ARCEP reserves for fiction: nobody is rung by a test.
FICTIONAL = ("019900", "026191", "035301", "046571", "053649", "063998")

french = st.builds(
    "{}{:04d}".format, st.sampled_from(FICTIONAL), st.integers(min_value=0, max_value=9999)
)
separators = st.sampled_from(["", " ", ".", "-", "\u00a0", "\u202f", "\u2011", "\u2013", "  ", "/"])


@st.composite
def spellings(draw: st.DrawFn, national: str, code: str) -> str:
    """One way to write a number whose trunk prefix is zero."""
    assert national.startswith("0")
    prefix = draw(
        st.sampled_from(
            [
                "0",
                f"+{code}",
                f"+{code} ",
                f"00{code}",
                f"00 {code} ",
                f"(+{code})",
                f"+{code} (0)",
                f"%2B{code}",
                f"\uff0b{code}",
                code,
            ]
        )
    )
    separator = draw(separators)
    digits = national[1:]
    number = prefix + digits[0]
    for at, digit in enumerate(digits[1:]):
        number += (separator if at % 2 == 0 else "") + digit
    wrap = draw(
        st.sampled_from(
            [
                "{}",
                "  {} ",
                "\u202a{}\u202c",
                "tel:{}",
                "TEL:{};ext=12",
                "sip:{}@198.51.100.7",
                "sips:{}@carrier.example;user=phone",
                "<sip:{}@carrier.example;user=phone>;reason=unconditional;counter=1",
                '"Garage du Port, Marseille" <sip:{}@carrier.example:5060>',
                "Garage <tel:{}>",
                "{}, 0261910000",
                "anonymous, {}",
                '"Doe, J" <sip:alice@example.net>, <sip:{}@carrier.example>;reason=no-answer',
            ]
        )
    )
    return wrap.format(number)


@settings(deadline=None, max_examples=400)
@given(st.data(), french)
def test_all_spellings_of_a_french_number_agree(data: st.DataObject, national: str) -> None:
    assert normalise(data.draw(spellings(national, "33"))) == f"+33{national[1:]}"


@settings(deadline=None, max_examples=200)
@given(
    st.data(),
    st.sampled_from(
        [
            ("BE", "32", "0470123456"),
            ("BE", "32", "025123456"),
            ("CH", "41", "0791234567"),
            ("GP", "590", "0590901234"),
            ("RE", "262", "0262123456"),
            ("YT", "262", "0269601234"),
            ("DE", "49", "03012345678"),
            ("GB", "44", "02079460018"),
        ]
    ),
)
def test_all_spellings_agree_in_other_regions(
    data: st.DataObject, where: tuple[str, str, str]
) -> None:
    region, code, national = where
    assert normalise(data.draw(spellings(national, code)), region) == f"+{code}{national[1:]}"


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("+33639981234", "FR", "+33639981234"),
        ("639981234", "FR", "+33639981234"),
        ("33639981234", "FR", "+33639981234"),
        (" 33639981234", "FR", "+33639981234"),  # "+" of a query string, read as a space
        ("0199001234", "fr", "+33199001234"),
        ("tel:0199001234;phone-context=+33", "BE", "+33199001234"),
        ("tel:199001234;phone-context=+33", "BE", "+33199001234"),
        ("sip:+33199001234", "FR", "+33199001234"),
        ("<sip:0033199001234:secret@carrier.example>", "FR", "+33199001234"),
        ("\uff10\uff11\uff19\uff19\uff10\uff10\uff11\uff12\uff13\uff14", "FR", "+33199001234"),
        ("+32 470 12 34 56", "FR", "+32470123456"),
        ("+39 06 1234 5678", "FR", "+390612345678"),  # Italy keeps its zero
        ("0692123456", "RE", "+262692123456"),
        ("+590 590 90 12 34", "FR", "+590590901234"),
        ("(202) 555-0143", "US", "+12025550143"),
        ("0033199001234", "US", "+33199001234"),
        ('"Port, 0261910000" <sip:+33199001234@carrier.example>', "FR", "+33199001234"),
        ("<sip:+33199001234@carrier.example;a=b,c>", "FR", "+33199001234"),
        ("<sip:alice@carrier.example;a=,0261910000>", "FR", None),
        # Numbers that the library calls possible though not (yet) valid count.
        ("06 39 98 12 34", "FR", "+33639981234"),
        # Not numbers.
        (None, "FR", None),
        ("", "FR", None),
        ("   ", "FR", None),
        ("+", "FR", None),
        ("00", "FR", None),
        ("+33", "FR", None),
        ("0", "FR", None),
        ("15", "FR", None),
        ("3631", "FR", None),
        ("555-0143", "US", None),  # without area code: of which town?
        ("01 99 00 12 3", "FR", None),  # a digit short, though the library calls it possible
        ("+33019900123", "FR", None),
        ("01 99 00 12 34 5", "FR", None),
        ("+33 1 99 00 12 34 56 78 90", "FR", None),
        ("++33199001234", "FR", None),
        ("+33+199001234", "FR", None),
        ("0199001234#12", "FR", None),
        ("0199001234 ext 12", "FR", None),
        ("0800GARAGE", "FR", None),
        ("GARAGE", "FR", None),
        ("Coccinelle", "FR", None),
        ("client:alice", "FR", None),
        ("client:+33199001234", "FR", None),
        ("whatsapp:+33199001234", "FR", None),
        ("sip:alice@example.net", "FR", None),
        ("sip:192.0.2.1", "FR", None),
        ("sip:@example.net", "FR", None),
        ("<>", "FR", None),
        ("Non spécifié", "FR", None),
        ("01990012²3", "FR", None),
        ("0199001234", "XX", None),
        ("0199001234", "", None),
        ("+33199001234", "XX", "+33199001234"),
    ],
)
def test_normalise(raw: str | None, region: str, expected: str | None) -> None:
    assert normalise(raw, region) == expected


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        " ",
        "anonymous",
        "Anonymous",
        "Restricted",
        "unknown",
        "unavailable",
        "Blocked",
        "private",
        "client:alice",
        "sip:anonymous@anonymous.invalid",
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        "+266696687",
        "266696687",
        "+7378742833",
        "+2562533",
        "+8656696",
        "+86282452253",
        "sip:+266696687@carrier.example",
    ],
)
def test_withheld(raw: str | None) -> None:
    assert is_withheld(raw)
    assert normalise(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        "+33639981234",
        "0639981234",
        "+33266696687",  # ends like a sentinel
        "0266696687",
        '"Unknown" <sip:+33639981234@carrier.example>',
        "alice",
    ],
)
def test_not_withheld(raw: str) -> None:
    assert not is_withheld(raw)


noise = st.text(alphabet=" 0123456789+.-()<>@;:,%\"'/stelip\u00a0\u202e", max_size=80) | st.text()


@settings(deadline=None, max_examples=500)
@example(raw="\ud800+33639981234", region="FR")
@example(raw='<"<,<"', region="FR")
@example(raw="%ff%fe+33", region="FR")
@given(noise, st.sampled_from(["FR", "BE", "US", "IT", "", "??", "é"]))
def test_any_text_gives_a_number_or_nothing(raw: str, region: str) -> None:
    number = normalise(raw, region)
    assert isinstance(is_withheld(raw), bool)
    if number is not None:
        assert E164.fullmatch(number)
        assert normalise(number, region) == number
        assert spoken_digits(number, "fr")


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["fr", "en", ""]))
def test_spoken_digits_takes_any_text(text: str, locale: str) -> None:
    assert not re.search(r"[0-9]", spoken_digits(text, locale))


@pytest.mark.parametrize(
    "piece", ["0", "+33639981234,", "<", '"', "%2B", "(", "+", "sip:", "\u202e"]
)
def test_a_huge_text_costs_nothing(piece: str) -> None:
    began = time.perf_counter()
    assert normalise(piece * 2_000_000) is None
    is_withheld(piece * 2_000_000)
    normalise(piece * (500 // len(piece)))
    assert time.perf_counter() - began < 1.0


def test_the_first_number_of_a_list_counts() -> None:
    assert normalise("unknown,+33199001234,+33261910000") == "+33199001234"


@pytest.mark.parametrize(
    ("number", "locale", "words"),
    [
        (
            "+33639981234",
            "fr-FR",
            "zéro six, trente-neuf, quatre-vingt-dix-huit, douze, trente-quatre",
        ),
        (
            "+33199000171",
            "fr",
            "zéro un, quatre-vingt-dix-neuf, zéro zéro, zéro un, soixante et onze",
        ),
        (
            "+262692120080",
            "fr-RE",
            "zéro six, quatre-vingt-douze, douze, zéro zéro, quatre-vingts",
        ),
        (
            "+33639981234",
            "en-GB",
            "zero six, three nine, nine eight, one two, three four",
        ),
        (
            "+32470123456",
            "fr-FR",
            "plus trois deux, quatre sept zéro, un deux, trois quatre, cinq six",
        ),
        ("+41791234567", "en", "plus four one, seven nine, one two three, four five, six seven"),
        ("3631", "fr", "trois six trois un"),
        ("", "fr", ""),
    ],
)
def test_spoken_digits(number: str, locale: str, words: str) -> None:
    assert spoken_digits(number, locale) == words
