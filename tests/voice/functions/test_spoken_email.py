"""What callers say, what transcribers write, what is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.functions.spoken_email import read_email


@pytest.mark.parametrize(
    ("heard", "written"),
    [
        ("t, e, s, t, arobase, g, mail, point com", "test@gmail.com"),
        ("marc.durand@gmail.com", "marc.durand@gmail.com"),
        ("Marc.Durand@Gmail.COM", "marc.durand@gmail.com"),
        ("  marc.durand@gmail.com. ", "marc.durand@gmail.com"),
        ("mailto:marc@orange.fr", "marc@orange.fr"),
        ("Marc Durand <marc@orange.fr>", "marc@orange.fr"),
        # real-users.md §6.2 (21)
        ("t.e.s.t arobase g.m.a.i.l point com", "test@gmail.com"),
        ("t e s t arobase g m a i l point com", "test@gmail.com"),
        ("t-e-s-t arobase gmail point com", "test@gmail.com"),
        ("marc point durand arobase gémel point com", "marc.durand@gmail.com"),
        ("marc point durand arobas gé mail point com", "marc.durand@gmail.com"),
        ("hélène tiret bas berger arobase orange point fr", "helene_berger@orange.fr"),
        ("jean tiret pierre arobase free point fr", "jean-pierre@free.fr"),
        ("jean trait d’union pierre arobase free point fr", "jean-pierre@free.fr"),
        ("marc @ orange . fr", "marc@orange.fr"),
        ("marc dot durand at gmail dot com", "marc.durand@gmail.com"),
        ("marc underscore durand at sign gmail dot com", "marc_durand@gmail.com"),
        ("marc arobase garage tiret du tiret port point fr", "marc@garage-du-port.fr"),
        # Typed, not spelled: its dots are meant.
        ("j.r.r.tolkien@oxford.ac.uk", "j.r.r.tolkien@oxford.ac.uk"),
        ("j.p.m@orange.fr", "j.p.m@orange.fr"),
        ("marc+rdv@gmail.com", "marc+rdv@gmail.com"),
        ("patrick@chez-nous.fr", "patrick@chez-nous.fr"),
        ("at.home@orange.fr", "at.home@orange.fr"),
    ],
)
def test_reads_an_address(heard: str, written: str) -> None:
    assert read_email(heard) == written


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "marc",
        "marc point durand",
        "je n'en ai pas",
        "marc@gmail",
        "@gmail.com",
        "marc@",
        "marc@@gmail.com",
        "marc@gmail.com paul@gmail.com",
        "marc..durand@gmail.com",
        "marc@-gmail.com",
        "marc@gmail.c",
        "marc@gmail.com\nBcc: tout@lemonde.fr",
        "marc,durand@gmail.com",
        '"marc durand"@gmail.com',
        "a" * 65 + "@gmail.com",
        "a@" + "b" * 250 + ".com",
        "client@aucun.invalid",
        "<script>@gmail.com",
    ],
)
def test_refuses_what_is_no_address(heard: str) -> None:
    assert read_email(heard) is None


@given(st.text(max_size=300))
def test_never_raises_and_is_stable(heard: str) -> None:
    written = read_email(heard)
    if written is not None:
        assert written.count("@") == 1
        assert written == written.lower().strip()
        assert read_email(written) == written


@given(st.from_regex(r"[a-z]{4,12}(\.[a-z]{4,12})?@[a-z]{4,12}\.(fr|com)", fullmatch=True))
def test_spelling_loses_nothing(address: str) -> None:
    said = " ".join({"@": "arobase", ".": "point"}.get(char, char) for char in address)
    assert read_email(said) == address
