import pytest

from domain.forwarding_codes import dialled, forwarding_codes
from domain.lines import (
    CODE_NOT_HEARD,
    CODE_SPOKEN,
    HIDDEN,
    NOT_FORWARDED,
    UNKNOWN,
    WORKS,
    Returned,
    is_returned,
    shown_as,
    stronger,
    verdict_of,
    verdict_without,
)

LINE, OURS, TRUNK, CUSTOMER = "+33261910077", "+33199000000", "+33261910000", "+33639980001"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("02 61 91 00 77", LINE),
        ("sip:+33261910077@carrier.example;user=phone", LINE),
        ("4077", "4077"),
        ("Standard  Garage", "standard garage"),
        ("anonymous", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_carrier_shows(raw: str | None, shown: str | None) -> None:
    assert shown_as(raw, "FR") == shown


@pytest.mark.parametrize(
    ("call", "is_it"),
    [
        (Returned(OURS, LINE), True),
        (Returned(OURS, None), True),
        (Returned(OURS, TRUNK), True),
        (Returned(LINE, None), True),  # the carrier shows the line in our place
        (Returned(CUSTOMER, LINE), False),
        (Returned("", None), False),
        (Returned(LINE, "+33261910088"), False),  # the owner calls somebody else's line
    ],
)
def test_which_call_is_the_one_that_came_back(call: Returned, is_it: bool) -> None:
    assert is_returned(LINE, OURS, call) is is_it


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        (Returned(OURS, LINE), WORKS),
        (Returned(OURS, "4077"), WORKS),
        (Returned(OURS, None), HIDDEN),
        (Returned(LINE, None), HIDDEN),
        (Returned(OURS, OURS), HIDDEN),
        (Returned(OURS, None, to_own=True), WORKS),
        (Returned(OURS, LINE, to_other=True), NOT_FORWARDED),
    ],
)
def test_what_it_says(call: Returned, verdict: str) -> None:
    assert verdict_of(LINE, call, {OURS})[0] == verdict


@pytest.mark.parametrize(
    ("status", "forwarding", "code"),
    [
        ("completed", NOT_FORWARDED, CODE_SPOKEN),
        ("busy", NOT_FORWARDED, CODE_NOT_HEARD),
        ("no-answer", NOT_FORWARDED, CODE_NOT_HEARD),
        ("failed", UNKNOWN, UNKNOWN),
        ("in-progress", None, None),
    ],
)
def test_what_it_says_that_nothing_came_back(
    status: str, forwarding: str | None, code: str | None
) -> None:
    for kind, verdict in (("forwarding", forwarding), ("code", code)):
        found = verdict_without(kind, status)
        assert (found[0] if found else None) == verdict


def test_a_claim_yields_to_a_stronger_proof() -> None:
    order = [None, "forwarding", "code"]
    for weak, proof in enumerate(order):
        assert [stronger(proof, than) for than in order] == [n < weak for n in range(3)]
    assert not stronger("code", "operator")


def test_codes_to_dial() -> None:
    mobile = forwarding_codes("+33639980001", OURS)
    assert {code.when: code.activate for code in mobile} == {
        "all": "**21*0199000000#",
        "voice": "**21*0199000000*11#",
        "busy": "**67*0199000000#",
        "no_answer": "**61*0199000000#",
        "unreachable": "**62*0199000000#",
    }
    assert (mobile[0].check, mobile[0].cancel) == ("*#21#", "##21#")
    landline, box = forwarding_codes(LINE, OURS)
    assert (landline.activate, landline.check, landline.cancel) == (
        "*21*0199000000#",
        "*#21#",
        "#21#",
    )
    assert box.activate is None
    assert dialled("+3222000000", LINE) == "+3222000000"
