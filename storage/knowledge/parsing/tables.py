"""Tables: which of their rows names the columns."""

import re
from collections.abc import Iterable, Iterator, Sequence

from storage.knowledge.parsing.blocks import MAX_CELLS, RawBlock, has_digit, one_line

#: What heads the columns of the lists that small businesses keep.
_NAMES = re.compile(
    r"(?:prix|tarifs?|montant|coût|désignation|designation|libellé|libelle|prestations?|services?"
    r"|produits?|articles?|réf\.?|références?|reference|durée|duree|description|détails?|quantité"
    r"|unité|jours?|heures?|horaires?|question|réponse|catégorie|marque|modèle|nom|name|price"
    r"|item|product|duration|hours|day|answer|category|code)\b.{0,25}",
    re.IGNORECASE,
)
_DAYS = re.compile(r"(?:lun|mar|mer|jeu|ven|sam|dim|mon|tue|wed|thu|fri|sat|sun)\w*", re.IGNORECASE)


def table_blocks(rows: Iterable[Sequence[str]]) -> Iterator[RawBlock]:
    """The rows, the first one as header when it looks like one, and a rule at the end."""
    table = [tuple(one_line(cell) for cell in row[:MAX_CELLS]) for row in rows]
    table = [row for row in table if any(row)]
    for index, row in enumerate(table):
        header = index == 0 and _is_header(row, table[1:])
        yield RawBlock("header" if header else "row", cells=row)
    yield RawBlock("rule")


def _is_header(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Names without figures above values: known ones, or above a column that has a figure in
    every row ("Lundi | fermé" above "Mardi | 9 h" is a row)."""
    if len(row) < 2 or not below or any(map(has_digit, row)):
        return False
    if sum(_NAMES.fullmatch(cell) is not None for cell in row) >= 1:
        return True
    if len(below) < 2 or any(_DAYS.fullmatch(cell) for cell in row):
        return False
    return any(
        row[at] and all(len(other) > at and has_digit(other[at]) for other in below)
        for at in range(1, len(row))
    )
