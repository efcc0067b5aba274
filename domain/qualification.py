"""What a prospect has told, what is missing, how promising that is, and why.

Real estate has questions of its own for each kind of project; every other trade a general form.
Pure: the same answers give the same score, and each point has its reason.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from domain.folding import unaccented

#: From this score on a human is told at once.
HOT: Final = 70
#: Budgets are whole euros: of a purchase from here on, below it a monthly rent.
_LEAST_PRICE: Final = 10_000

#: Beginnings of words that tell what somebody wants, by project. In this order: who
#: wants an estimation before selling wants an estimation.
_PROJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "estimate": ("estim", "evalu", "valu", "apprais"),
    "rent": ("louer", "loue", "locat", "loyer", r"rent\b", "rental", "renting", r"to let\b"),
    "sell": (r"vendre\b", "vends", "vendeu", "vendu", "vente", "sell", r"sale\b", "ceder"),
    "buy": ("achat", "achet", "acqui", "buy", "purchas", "cherch", "invest"),
}
PROJECTS: Final = tuple(_PROJECTS)

#: What has to be known, in the order in which it is asked: the next question is the first missing.
_REAL_ESTATE: Final[Mapping[str, tuple[str, ...]]] = {
    "buy": ("place", "property_type", "budget", "rooms", "surface", "deadline", "financing"),
    "rent": ("place", "property_type", "budget", "rooms", "surface", "deadline"),
    "sell": ("place", "property_type", "surface", "rooms", "deadline"),
    "estimate": ("place", "property_type", "surface", "rooms"),
}
_GENERAL: Final = ("need", "deadline", "budget")
#: To reach them: after what makes the project, and never insisted on.
_PERSON: Final = ("name", "phone")

_SOON: Final = re.compile(
    r"tout de suite|immediat|urgent|au plus vite|des que possible|cette semaine|ce mois|"
    r"semaine prochaine|mois prochain|sans attendre|right away|now|asap|as soon as|this week|"
    r"this month|next week|next month|\b(?:un|une|deux|trois|one|two|three|[1-3]) ?(?:mois|month)"
)
_LATER: Final = re.compile(
    r"\bpas presse|curieux|\ban(?:s|nees?)\b|plus tard|no hurry|years?|later"
)
_FINANCED: Final = re.compile(r"accord|comptant|cash|apport|valid|obtenu|approv|granted|deja vendu")
_UNFINANCED: Final = re.compile(r"refus|pas encore|aucun|sans|not yet|none|no loan|pas de")


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known. Budgets in whole euros (a rental's: a month's rent), `surface` in square
    metres; the rest in the caller's words. `need` is what somebody wants of another trade."""

    project: str | None = None
    need: str | None = None
    place: str | None = None
    property_type: str | None = None
    budget_min: int | None = None
    budget_max: int | None = None
    surface: int | None = None
    rooms: int | None = None
    deadline: str | None = None
    financing: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None

    def knows(self, question: str) -> bool:
        """Whether that needn't be asked any more."""
        if question == "budget":
            return self.budget_min is not None or self.budget_max is not None
        if question == "phone":
            return bool(self.phone or self.email)
        return getattr(self, question) not in (None, "")


@dataclass(frozen=True, slots=True)
class Qualification:
    """`score` 0 to 100; `reasons` name what gave the points ("budget +20"); `missing` are names of
    questions, the next one first."""

    project: str
    score: int
    reasons: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def hot(self) -> bool:
        """Whether somebody should call back at once."""
        return self.score >= HOT


def project_of(words: str | None, property_type: str | None = None) -> str:
    """buy | sell | rent | estimate, or "" when the words are about something else."""
    plain = unaccented(f"{words or ''} {property_type or ''}")
    for project, stems in _PROJECTS.items():
        if re.search(rf"\b(?:{'|'.join(stems)})", plain):
            return project
    return ""


def questions(project: str, *, real_estate: bool) -> Sequence[str]:
    """What has to be known for this project, in the order in which it is asked."""
    if not real_estate:
        return (*_GENERAL, *_PERSON)
    # Who hasn't said what they want is asked for that first.
    return (*_REAL_ESTATE.get(project, ("project", *_REAL_ESTATE["buy"])), *_PERSON)


def qualify(answers: Answers, *, real_estate: bool) -> Qualification:
    """The judgement on all that was said so far."""
    project = answers.project or ""
    asked = questions(project, real_estate=real_estate)
    missing = tuple(question for question in asked if not answers.knows(question))
    project_asked = [question for question in asked if question not in _PERSON]
    known = [question for question in project_asked if question not in missing]
    reasons: list[tuple[str, int]] = []
    if known:
        # Half of the score is how much is known of the project.
        reasons.append(("answered", round(50 * len(known) / len(project_asked))))
    if answers.knows("phone"):
        reasons.append(("reachable", 15))
    if answers.knows("name"):
        reasons.append(("named", 5))
    reasons += _urgency(answers.deadline)
    reasons += _money(answers, project)
    score = max(0, min(100, sum(points for _, points in reasons)))
    return Qualification(
        project, score, tuple(f"{name} {points:+d}" for name, points in reasons), missing
    )


def _urgency(deadline: str | None) -> list[tuple[str, int]]:
    plain = unaccented(deadline or "")
    if _SOON.search(plain):
        return [("soon", 15)]
    return [("later", -10)] if _LATER.search(plain) else []


def _money(answers: Answers, project: str) -> list[tuple[str, int]]:
    plain = unaccented(answers.financing or "")
    if _UNFINANCED.search(plain):
        return [("unfinanced", -10)]
    if _FINANCED.search(plain):
        return [("financed", 15)]
    if project in ("sell", "estimate"):
        return [("owner", 15)]  # whoever has a property to sell is what an agency looks for
    budget = answers.budget_max or answers.budget_min
    if project == "buy" and budget is not None and budget < _LEAST_PRICE:
        return [("budget_unlikely", -10)]
    return [("budget", 10)] if budget is not None else []


def joined(earlier: Answers, later: Answers) -> Answers:
    """What is known after both: what was said last counts, and silence takes nothing back."""
    values = {
        name: getattr(later, name) if getattr(later, name) is not None else getattr(earlier, name)
        for name in Answers.__slots__
    }
    low, high = values["budget_min"], values["budget_max"]
    if low is not None and high is not None and low > high:
        # One end was corrected: the other one, said before, no longer holds.
        values["budget_max" if later.budget_min is not None else "budget_min"] = None
        if later.budget_min is not None and later.budget_max is not None:
            values |= {"budget_min": high, "budget_max": low}
    return Answers(**values)
