"""Blocks become passages that can be said alone."""

import pytest

from domain.errors import Invalid
from storage.knowledge.split import LONGEST, MAX_CHUNKS, TARGET, Block, Chunk, split


def passages(*blocks: Block) -> list[Chunk]:
    return split(blocks, title="Document", locale="fr-FR")


def text(*lines: str) -> Block:
    return Block("paragraph", "\n".join(lines))


def contents(*blocks: Block) -> list[str]:
    return [chunk.content for chunk in passages(*blocks)]


def test_a_row_carries_its_columns_and_its_headings() -> None:
    (chunk,) = passages(
        Block("heading", "Tarifs", 1),
        Block("heading", "Entretien", 2),
        Block("header", cells=("Prestation", "Prix TTC", "Durée")),
        Block("row", cells=("Vidange diesel", "99 €", "45 min")),
    )
    assert chunk.kind == "row"
    assert chunk.heading == "Tarifs › Entretien"
    assert chunk.content == "Vidange diesel — Prix TTC : 99 € ; Durée : 45 min"
    own, _, place = chunk.terms.partition(" | ")
    assert {"vidang", "diesel", "99"} <= set(own.split())
    assert {"prix", "entretien"} <= set(place.split())


def test_a_row_with_one_cell_is_the_title_of_those_below() -> None:
    chunks = passages(
        Block("header", cells=("Prestation", "Prix")),
        Block("row", cells=("Femmes", "")),
        Block("row", cells=("Coupe", "42 €")),
        Block("row", cells=("Hommes", "")),
        Block("row", cells=("Coupe", "24 €")),
    )
    assert [(c.heading, c.content) for c in chunks] == [
        ("Femmes", "Coupe — Prix : 42 €"),
        ("Hommes", "Coupe — Prix : 24 €"),
    ]


def test_a_table_ends_with_what_follows_it() -> None:
    chunks = passages(
        Block("header", cells=("Prestation", "Prix")),
        Block("row", cells=("Coupe", "42 €")),
        Block("rule"),
        Block("row", cells=("Brushing", "22 €")),
    )
    assert [c.content for c in chunks] == ["Coupe — Prix : 42 €", "Brushing : 22 €"]


@pytest.mark.parametrize(
    ("line", "content"),
    [
        ("Vidange diesel ........ 99 €", "Vidange diesel : 99 €"),
        ("Vidange diesel …………… 99 € TTC", "Vidange diesel : 99 € TTC"),
        ("Vidange diesel : 99 €", "Vidange diesel : 99 €"),
        ("Vidange diesel – 99 euros", "Vidange diesel : 99 euros"),
        ("Vidange diesel\t99 €", "Vidange diesel : 99 €"),
        ("- Vidange diesel 1 200,50 €", "Vidange diesel : 1 200,50 €"),
        ("Courroie : à partir de 590 €", "Courroie : à partir de 590 €"),
        ("Peinture : sur devis", "Peinture : sur devis"),
        ("Gardiennage ... 60 €/an", "Gardiennage : 60 €/an"),
    ],
)
def test_lines_of_price_lists_are_rows(line: str, content: str) -> None:
    (chunk,) = passages(text(line))
    assert (chunk.kind, chunk.content) == ("row", content)


@pytest.mark.parametrize(
    "line",
    [
        "Nous sommes ouverts depuis 1998.",
        "Le remorquage dans un rayon de 20 km coûte 120 €. Appelez-nous.",
        "Bienvenue !",
        "Nous avons trois ateliers ... et un parking. Venez nous voir quand vous voulez, du lundi "
        "au samedi, sans rendez-vous, avec ou sans votre véhicule, nous vous attendons ici.",
        "Un véhicule est prêté sur réservation, caution de 500 euros.",
        "La séance coûte 25 €.",
    ],
)
def test_sentences_are_no_rows(line: str) -> None:
    (chunk,) = passages(text(line))
    assert (chunk.kind, chunk.content) == ("prose", line)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_lines_with_separators_are_rows(mark: str) -> None:
    lines = [f"Prestation{mark}Prix", f"Coupe{mark}42 €", f"Brushing{mark}22 €"]
    assert contents(text(*lines)) == ["Coupe — Prix : 42 €", "Brushing — Prix : 22 €"]


@pytest.mark.parametrize(
    "blocks",
    [
        (text("Prêtez-vous une voiture ?"), text("Oui, sur réservation."), text("Avec caution.")),
        (text("Prêtez-vous une voiture ?", "Oui, sur réservation.", "Avec caution."),),
        (text("Q : Prêtez-vous une voiture ?", "R : Oui, sur réservation. Avec caution."),),
        (Block("item", "Prêtez-vous une voiture ? Oui, sur réservation. Avec caution."),),
    ],
)
def test_a_question_stays_with_its_answer(blocks: tuple[Block, ...]) -> None:
    (first,) = contents(*blocks)
    question, _, answer = first.partition("\n")
    assert question == "Prêtez-vous une voiture ?"
    assert " ".join(answer.split()) == "Oui, sur réservation. Avec caution."


def test_the_next_question_begins_another_passage() -> None:
    assert contents(text("Un chien ?"), text("Oui."), text("Un chat ?"), text("Non.")) == [
        "Un chien ?\nOui.",
        "Un chat ?\nNon.",
    ]


def test_no_sentence_is_cut() -> None:
    sentences = [f"Voici la phrase numéro {n} de Mme. Petit, av. Foch." for n in range(60)]
    pieces = contents(text(" ".join(sentences)))
    assert len(pieces) > 3
    assert all(len(piece) <= TARGET for piece in pieces)
    assert " ".join(pieces) == " ".join(sentences)
    assert all(piece.endswith("Foch.") for piece in pieces)


def test_a_sentence_without_end_is_cut_between_words() -> None:
    words = "mot " * 2000
    pieces = contents(text(words))
    assert all(len(piece) <= TARGET for piece in pieces)
    assert " ".join(pieces).split() == words.split()


def test_a_word_without_end_is_cut_all_the_same() -> None:
    pieces = contents(text("x" * 5000))
    assert "".join(pieces) == "x" * 5000


def test_a_row_that_is_too_long_keeps_its_heading() -> None:
    cells = ("Vidange", *(f"colonne {n} " + "mot " * 40 for n in range(20)))
    chunks = passages(Block("heading", "Tarifs"), Block("row", cells=cells))
    assert len(chunks) > 1
    assert all(len(chunk.content) <= LONGEST for chunk in chunks)
    assert {chunk.heading for chunk in chunks} == {"Tarifs"}


def test_headings_follow_their_levels() -> None:
    chunks = passages(
        Block("heading", "A", 1),
        Block("heading", "B", 3),
        text("Poire."),
        Block("heading", "C", 2),
        text("Pomme."),
        Block("heading", "D", 1),
        text("Prune."),
    )
    assert [c.heading for c in chunks] == ["A › B", "A › C", "D"]


def test_items_stay_together_and_paragraphs_apart() -> None:
    days = [Block("item", f"{day} : 8 h – 12 h") for day in ("Lundi", "Mardi", "Mercredi")]
    assert len(passages(*days)) == 1
    long = "Ceci est un paragraphe qui parle d'une chose et de rien d'autre, longuement."
    assert len(passages(text(long), text(long))) == 2


def test_nothing_comes_of_nothing() -> None:
    assert passages() == []
    blanks = (text(""), text("—"), Block("heading", "Titre"), Block("row", cells=("", "")))
    assert passages(*blanks) == []


def test_too_much_is_refused() -> None:
    with pytest.raises(Invalid, match="several documents"):
        passages(*(Block("row", cells=(f"Ligne {n}", "1 €")) for n in range(MAX_CHUNKS + 1)))
