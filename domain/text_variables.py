"""The variables that texts may hold: one spelling each, the pages' names as aliases.

Pure. A variable's value is data: it is made harmless for the medium and never read as a template.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Final, Literal

from domain.folding import bare_name
from domain.messages import language_of
from domain.spoken import calendar_day

Kind = Literal["words", "day", "hour", "link", "lines"]

#: Longer ones are no name, hour or service; free words (`lines`) may be longer.
LONGEST_VALUE: Final = 200
LONGEST_LINES: Final = 5_000


@dataclass(frozen=True, slots=True)
class Variable:
    """`kind` says how values are written; `sample` what previews show, in French and English;
    `aliases` what else it is called (real-users.md §1.5, and the earlier service's tokens)."""

    name: str
    meaning: str
    sample: tuple[str, str]
    kind: Kind = "words"
    aliases: tuple[str, ...] = ()


VARIABLES: Final = (
    Variable("entreprise", "le nom de votre entreprise", ("Salon Lumière", "Salon Lumière"),
             aliases=("company", "companyName", "businessName", "salon", "agence")),
    Variable("client", "le nom de la personne", ("Léa Martin", "Léa Martin"),
             aliases=("clientName", "customerName", "nomComplet", "name")),
    Variable("prenom", "son prénom", ("Léa", "Léa"), aliases=("firstName",)),
    Variable("nom", "son nom de famille", ("Martin", "Martin"), aliases=("lastName",)),
    Variable("date", "le jour du rendez-vous", ("2026-11-24", "2026-11-24"), "day",
             ("rdvDate", "appointmentDate", "jour")),
    Variable("heure", "l'heure du rendez-vous", ("14:30", "14:30"), "hour",
             ("rdvTime", "appointmentTime", "time")),
    Variable("ancienneDate", "le jour d'avant le déplacement", ("2026-11-23", "2026-11-23"), "day",
             ("oldDate",)),
    Variable("ancienneHeure", "l'heure d'avant le déplacement", ("10:00", "10:00"), "hour",
             ("oldTime",)),
    Variable("prestation", "ce qui a été réservé", ("Coupe et couleur", "Cut and colour"),
             aliases=("service", "rdvType", "serviceName", "motif")),
    Variable("avec", "la personne qui reçoit", ("Anna", "Anna"),
             aliases=("praticien", "agentName", "staff", "conseiller")),
    Variable("adresse", "votre adresse, ou le lieu du rendez-vous",
             ("12 rue des Lilas, Lyon", "12 rue des Lilas, Lyon"),
             aliases=("address", "lieu", "location", "rdvLocation")),
    Variable("telephone", "votre numéro de téléphone", ("04 12 34 56 78", "+33 4 12 34 56 78"),
             aliases=("phone", "tel", "companyPhone")),
    Variable("code", "le code du rendez-vous", ("K7PQ-4M2X", "K7PQ-4M2X"),
             aliases=("rdvCode", "appointmentCode", "reference")),
    Variable("lien", "le lien pour gérer le rendez-vous",
             ("https://rdv.example/r/k7pq4m2x", "https://rdv.example/r/k7pq4m2x"), "link",
             ("link", "url", "manageLink")),
    Variable("lienDesinscription", "le lien pour ne plus rien recevoir",
             ("https://rdv.example/u/abc", "https://rdv.example/u/abc"), "link",
             ("unsubscribeLink", "unsubscribe")),
    Variable("titre", "le titre de la lettre", ("Nos nouveautés", "What's new"),
             aliases=("title", "objet")),
    Variable("offre", "votre offre, en une phrase",
             ("-20 % sur les soins jusqu'à samedi", "20% off treatments until Saturday"),
             aliases=("offer", "promotion", "promo")),
    Variable("message", "un texte libre", ("Nous rouvrons mardi.", "We open again on Tuesday."),
             "lines", ("texte", "content", "contenu", "text")),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Variable]] = {each.name: each for each in VARIABLES}


_KNOWN: Final[Mapping[str, Variable]] = {
    bare_name(name): each for each in VARIABLES for name in (each.name, *each.aliases)
}


def variable(name: str) -> Variable | None:
    """The variable that is called this, in any spelling we know."""
    return _KNOWN.get(bare_name(name))


def suggestion(name: str) -> str | None:
    """The variable that was probably meant by an unknown name."""
    close = difflib.get_close_matches(bare_name(name), _KNOWN, n=1, cutoff=0.6)
    return _KNOWN[close[0]].name if close else None


def by_variable(values: Mapping[str, str]) -> dict[str, str]:
    """Values by the variables' own names; those of no variable of ours are left out. The own name
    goes before an alias."""
    known: dict[str, str] = {}
    for name, value in values.items():
        found = variable(name)
        if found is not None and (found.name not in known or name == found.name):
            known[found.name] = value
    return known


def written(each: Variable, value: str, locale: str) -> str:
    """A value as texts show it; "" when it is empty or none of its kind (a link that isn't https,
    a day that isn't one), which blocks the text rather than puzzle people."""
    plain = _tidy(value, lines=each.kind == "lines")
    if each.kind == "lines":
        return plain[:LONGEST_LINES]
    if each.kind == "day":
        return _day(plain, locale)
    if each.kind == "hour":
        return _hour(plain, locale)
    if each.kind == "link":
        return plain if _LINK.fullmatch(plain) else ""
    return plain[:LONGEST_VALUE]


_LINK: Final = re.compile(r"https?://[!-~]{1,500}")
_ISO_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3])[:hH]([0-5][0-9])(?::[0-5][0-9])?")


def _tidy(value: str, *, lines: bool) -> str:
    """Without control and invisible characters; on one line unless `lines`."""
    if lines:
        kept = (" ".join(_tidy(line, lines=False).split()) for line in value.splitlines())
        return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    visible = "".join(" " if c.isspace() else c for c in value if c.isspace() or not _is_hidden(c))
    return " ".join(visible.split())


def _is_hidden(character: str) -> bool:
    # Cc, Cf: controls and marks that turn text around; Co, Cs: nobody's characters. A joiner holds
    # emoji together.
    return character != "\u200d" and unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")


def _day(value: str, locale: str) -> str:
    """ "mardi 24 novembre"; words stay as they are."""
    if not _ISO_DAY.fullmatch(value):
        return value[:LONGEST_VALUE]
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return ""
    words = calendar_day(day, locale, year=False)
    return words.replace(" premier ", " 1er ") if language_of(locale) == "fr" else words


def _hour(value: str, locale: str) -> str:
    """ "14h30", "14h"; "2:30 pm"; words stay as they are."""
    found = _CLOCK.fullmatch(value)
    if found is None:
        return value[:LONGEST_VALUE]
    at = time(int(found[1]), int(found[2]))
    if language_of(locale) == "fr":
        return f"{at.hour}h{at.minute:02}" if at.minute else f"{at.hour}h"
    half = "am" if at.hour < 12 else "pm"
    return f"{at.hour % 12 or 12}:{at.minute:02} {half}"
