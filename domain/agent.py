"""Who answers the telephone: a tenant's settings and sector become a greeting, instructions and
functions.

The wording stands in `domain/catalogue/persona_*.py`; here is the order in which it is put
together. Lesson of the order (real-users.md §4.7): what comes last is what the model does, so the
last instruction is to use the functions.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from domain import placeholders
from domain.catalogue.persona import Persona, Trade
from domain.catalogue.persona_en import PERSONA as ENGLISH
from domain.catalogue.persona_fr import PERSONA as FRENCH
from domain.folding import bare_words
from domain.memory import MOST_LINES
from domain.messages import language_of
from domain.messages import text as sentence
from domain.phone import normalise, spoken_digits
from domain.spoken import calendar_day, spoken_time
from domain.tenant import Tenant

DEFAULT_NAME: Final = "Sara"
#: Longest welcome text that is used, in characters: about twenty seconds of speech. A longer one
#: gives way to our own greeting.
MAX_GREETING: Final = 300
#: Longest own instructions that reach the model, in characters; what is beyond is cut.
MAX_CUSTOM_INSTRUCTIONS: Final = 6000
_MAX_COMPANY: Final = 120
_MAX_NAME: Final = 40
_MAX_ENTRY: Final = 300
#: … of what a function answered, quoted.
_MAX_ANSWER: Final = 1000
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: real-users.md §6.1
SECTORS: Final = (
    "generaliste",
    "immobilier",
    "syndic",
    "sante",
    "dentiste",
    "restaurant",
    "automobile",
    "beaute",
    "fitness",
    "ecommerce",
    "artisan",
    "juridique",
    "education",
    "autre",
)

# Words that tell a sector, without accents, in the singular. Several words count before one, and
# of those the earlier: "cabinet dentaire", "agence de location de voitures".
_SECTOR_WORDS: Final[Mapping[str, str]] = {
    "generaliste": "general, general business, multi secteur, standard telephonique, standard",
    "immobilier": "immobiliere, immo, agence immobiliere, real estate, estate agent, estate agency",
    "syndic": "copropriete, gestion de copropriete, syndic de copropriete, property management",
    "sante": (
        "medical, medecin, docteur, doctor, health, healthcare, cabinet medical, infirmier, "
        "infirmiere, kine, kinesitherapeute, osteopathe, sage femme, clinique, pediatre, "
        "psychologue, orthophoniste, podologue, ophtalmologue, dermatologue"
    ),
    "dentiste": "dentaire, cabinet dentaire, dentist, dental, orthodontiste, chirurgien dentiste",
    "restaurant": (
        "restauration, restauration rapide, brasserie, bistrot, pizzeria, traiteur, creperie, "
        "salon de the"
    ),
    "automobile": (
        "auto, garage, garagiste, mecanique, carrosserie, carrossier, controle technique, car, "
        "automotive, concession, concessionnaire, location de voiture, location de vehicule"
    ),
    "beaute": (
        "beauty, coiffure, coiffeur, coiffeuse, salon, salon de coiffure, esthetique, "
        "estheticienne, institut, institut de beaute, barbier, onglerie, spa, bien etre"
    ),
    "fitness": (
        "sport, gym, salle de sport, club de sport, coach sportif, crossfit, yoga, pilates, "
        "musculation"
    ),
    "ecommerce": (
        "e commerce, commerce, commerce en ligne, boutique, boutique en ligne, magasin, shop, "
        "retail, vente en ligne"
    ),
    "artisan": (
        "btp, service, batiment, travaux, plombier, plomberie, electricien, electricite, "
        "chauffagiste, chauffage, serrurier, serrurerie, menuisier, menuiserie, couvreur, "
        "peintre, macon, maconnerie, depannage, paysagiste, construction, services a domicile"
    ),
    "juridique": (
        "legal, law, notaire, avocat, huissier, droit, lawyer, notary, cabinet d avocat, "
        "commissaire de justice, etude notariale"
    ),
    "education": (
        "formation, centre de formation, ecole, auto ecole, training, school, cours particulier, "
        "enseignement, institut de formation, organisme de formation, universite, soutien scolaire"
    ),
    "autre": "other, auto entrepreneur",
}


class AgentType(StrEnum):
    """What the agent is there for."""

    RECEPTION = "reception"
    QUALIFICATION = "qualification"
    APPOINTMENT = "appointment"
    SUPPORT = "support"


# The ids that the dashboard has sent over time (real-users.md §1.4).
_AGENT_TYPES: Final[Mapping[str, AgentType]] = {
    "reception": AgentType.RECEPTION,
    "receptionist": AgentType.RECEPTION,
    "phonereception": AgentType.RECEPTION,
    "multipurpose": AgentType.RECEPTION,
    "realestatereception": AgentType.RECEPTION,
    "custom": AgentType.RECEPTION,
    "accueil": AgentType.RECEPTION,
    "qualification": AgentType.QUALIFICATION,
    "sales": AgentType.QUALIFICATION,
    "leadqualification": AgentType.QUALIFICATION,
    "realestatecallback": AgentType.QUALIFICATION,
    "appointment": AgentType.APPOINTMENT,
    "appointments": AgentType.APPOINTMENT,
    "appointmentbooking": AgentType.APPOINTMENT,
    "booking": AgentType.APPOINTMENT,
    "rdv": AgentType.APPOINTMENT,
    "rendezvous": AgentType.APPOINTMENT,
    "priserdv": AgentType.APPOINTMENT,
    "priserendezvous": AgentType.APPOINTMENT,
    "prisederendezvous": AgentType.APPOINTMENT,
    "support": AgentType.SUPPORT,
    "customersupport": AgentType.SUPPORT,
    "supportclient": AgentType.SUPPORT,
    "sav": AgentType.SUPPORT,
}

# Beside these every agent may end the call, search documents where the tenant has any and, where
# it has a number for it, transfer the call.
_FUNCTIONS: Final[Mapping[AgentType, tuple[str, ...]]] = {
    AgentType.RECEPTION: (
        "check_availability",
        "book_appointment",
        "find_appointment",
        "reschedule_appointment",
        "cancel_appointment",
        "qualify_prospect",
        "create_ticket",
        "take_message",
    ),
    AgentType.QUALIFICATION: (
        "check_availability",
        "book_appointment",
        "find_appointment",
        "reschedule_appointment",
        "cancel_appointment",
        "qualify_prospect",
        "take_message",
    ),
    AgentType.APPOINTMENT: (
        "check_availability",
        "book_appointment",
        "find_appointment",
        "reschedule_appointment",
        "cancel_appointment",
        "take_message",
    ),
    AgentType.SUPPORT: ("create_ticket", "take_message"),
}


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One tenant's agent. `sector` is one of SECTORS, `voice` "female" or "male", `voice_id` a
    vendor's voice or "", `language` a BCP 47 tag, `greeting` the tenant's welcome text or "",
    `text_introduction` how a text conversation begins, in the tenant's words, or "";
    `recording`: calls are recorded, which is said after the sentence that names the AI."""

    company: str
    sector: str
    agent_type: AgentType
    name: str = DEFAULT_NAME
    voice: str = "female"
    voice_id: str = ""
    language: str = "fr-FR"
    custom_instructions: str = ""
    greeting: str = ""
    text_introduction: str = ""
    recording: bool = False


@dataclass(frozen=True, slots=True)
class CallContext:
    """What is known of one call. `now` is aware, in the tenant's zone; `caller_number` E.164 or
    None when withheld; `has_knowledge`: the tenant has documents to search; `has_texts`: the caller
    can be sent an SMS; `remembered`: lines about earlier calls and texts (domain/memory.py);
    `written`: it is no call but a conversation by text. An agent that takes over is told what
    functions have answered: `already_done` those that achieved something, `looked_up` others.
    """

    now: datetime
    caller_number: str | None
    has_transfer: bool
    resumed: bool = False
    already_done: tuple[str, ...] = ()
    looked_up: tuple[str, ...] = ()
    has_knowledge: bool = False
    has_texts: bool = False
    remembered: tuple[str, ...] = ()
    written: bool = False


# ------------------------------------------------------------------------ reading settings


def normalise_sector(text: str | None) -> str:
    """One of SECTORS: "Cabinet d'avocats" → "juridique"; nothing → "generaliste", unknown →
    "autre"."""
    words = _words(text or "")
    if not words:
        return "generaliste"
    spoken = f" {' '.join(words)} "
    found = [
        (-alias.count(" "), spoken.index(f" {alias} "), sector)
        for alias, sector in _SECTOR_OF.items()
        if f" {alias} " in spoken
    ]
    return min(found)[2] if found else "autre"


def normalise_agent_type(text: str | None) -> AgentType:
    """The type behind any id that a dashboard has used; RECEPTION, which can do all, otherwise."""
    return _AGENT_TYPES.get("".join(bare_words(text or "").split()), AgentType.RECEPTION)


def function_names(
    agent_type: AgentType,
    *,
    has_transfer: bool,
    has_knowledge: bool = False,
    has_texts: bool = False,
    recording: bool = False,
) -> tuple[str, ...]:
    """The functions that the agent is given, in the order in which they are told."""
    knowledge = ("search_knowledge",) if has_knowledge else ()
    texts = ("send_text",) if has_texts else ()
    refusal = ("refuse_recording",) if recording else ()
    transfer = ("transfer_call",) if has_transfer else ()
    return (*knowledge, *_FUNCTIONS[agent_type], *texts, *refusal, *transfer, "end_call")


def profile(tenant: Tenant, phone_config: Mapping[str, Any]) -> AgentProfile:
    """The agent that a tenant's public phone configuration asks for. Never raises: a value of the
    wrong type counts as absent. Reads the shapes of real-users.md §1.4, camelCase and snake_case.
    """
    sara = _sections(phone_config)
    agent_type = normalise_agent_type(_setting(sara, "agentType", "agent_type"))
    language = _setting(sara, "language", "transcriptionLanguage")
    return AgentProfile(
        company=_plain(tenant.name, _MAX_COMPANY),
        sector=normalise_sector(tenant.sector),
        agent_type=agent_type,
        name=_plain(_setting(sara, "assistantName", "assistant_name"), _MAX_NAME) or DEFAULT_NAME,
        voice=_voice(_setting(sara, "voice")),
        voice_id=_setting(sara, "voiceId", "voice_id", "ttsVoiceId"),
        language=language if _LANGUAGE_TAG.fullmatch(language) else tenant.locale,
        custom_instructions=_own_instructions(sara, agent_type),
        greeting=_setting(sara, "welcomeMessage", "welcome_message", "greeting"),
        text_introduction=_setting(sara, "textIntroduction", "text_introduction"),
        recording=is_recorded(phone_config),
    )


_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_MALE: Final = frozenset({"male", "man", "homme", "masculin", "masculine", "m", "h"})


def _sections(phone_config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where settings of the agent may stand, most specific first."""
    names = ("sara", "saraConfig", "sara_config", "phone")
    nested = [phone_config.get(name) for name in names]
    return [*(part for part in nested if isinstance(part, Mapping)), phone_config]


def _setting(sections: Iterable[Mapping[str, Any]], *keys: str) -> str:
    for section in sections:
        for key in keys:
            value = section.get(key)
            if isinstance(value, str) and value.strip():
                return value.strip()
    return ""


def is_recorded(phone_config: Mapping[str, Any]) -> bool:
    """Whether calls are recorded: off unless it says `{"recording": {"enabled": true}}`, and
    nothing like it."""
    recording = phone_config.get("recording")
    return isinstance(recording, Mapping) and recording.get("enabled") is True


def _voice(text: str) -> str:
    return "male" if bare_words(text) in _MALE else "female"


def _own_instructions(sections: Sequence[Mapping[str, Any]], agent_type: AgentType) -> str:
    """The tenant's script for this type of agent, then its general instructions."""
    scripts = [part for section in sections if isinstance(part := section.get("scripts"), Mapping)]
    parts = (
        _setting(scripts, agent_type.value),
        _setting(sections, "customInstructions", "custom_instructions"),
    )
    return "\n".join(part for part in parts if part)


# ------------------------------------------------------------------------------- greeting

_ESTABLISHMENTS: Final = frozenset(
    "academie agence allo association atelier auberge auto automobile autos avocat avocats bar "
    "barber bijouterie bistro bistrot boucherie boulangerie boutique brasserie bureau cabinet cafe "
    "camping cantine carrosserie centre chateau chauffage chez cie cite clinique club coiffeur "
    "coiffure college comptoir concept concession construction couverture creperie crossfit "
    "dentaire dentiste depannage domaine ecole electricite entreprise espace ets etude "
    "etablissement etablissements eurl ferme fitness fleuriste foncier formation formations "
    "fournil garage garden gestion groupe gym habitat hair hotel immo immobilier immobiliere "
    "institut laboratoire librairie lycee magasin maison maternite mecanique medecin medical "
    "medicale menuiserie moulin notaire notaires onglerie optique orthodontie paysage peinture "
    "pharmacie pizza pizzeria plomberie pneus pole residence resto restaurant salle salon sarl sas "
    "sasu sci scp selarl serrurerie societe spa sport sports station store studio syndic table "
    "taverne toiture traiteur transports travaux villa yoga".split()
)
_TITLE: Final = re.compile(r"(?P<title>dr|docteur|me|ma[iî]tre)\.?\s+(?P<name>\S.*)", re.IGNORECASE)
_TITLED_SECTORS: Final = {"sante": "doctor", "dentiste": "doctor", "juridique": "counsel"}
_NO_NAME: Final = frozenset({"", "assistant", "assistante", "agent", "agente", "ia", "ai"})

_AI: Final = (
    r"(?:(?i:intelligence artificielle|artificial intelligence|robot)"
    r"|IA\b|I\.A\.|AI\b|A\.I\.)"  # in capitals: "j'ai" is none
)
# A text says that an AI speaks when the speaker is one: "expert en intelligence artificielle" and
# "assistante vocale" say something else. When in doubt it is said once more.
_NAMES_AI: Final = re.compile(
    r"\b(?i:je suis|assistante?|agente?|standard|voix|vous parlez|vous répond|I am|I['’]m|speaking)"
    rf"\b[^.!?]{{0,60}}?(?<!\ben )(?<!\bin )(?<!d['’])\b{_AI}"
    r"|\bAI (?i:(?:voice )?(?:assistant|agent|receptionist))\b"
)
_DENIES_AI: Final = re.compile(
    rf"\b(?i:pas|ni|non|aucune?|jamais|not|no|never|sans)\b[^.!?;]{{0,30}}\b{_AI}"
    rf"|(?i:n['’]t)\b[^.!?;]{{0,30}}\b{_AI}"
    r"|\b(?i:vraie? (?:personne|humaine?)|real (?:person|human))\b"
)
_HELLO: Final = re.compile(
    r"(?:bonjour|bonsoir|hello|hi|good (?:morning|afternoon|evening))\b"
    r"\s*(?:[,!.…]+\s*|(?:et|and)\s+(?=bienvenue|welcome))",
    re.IGNORECASE,
)


_SENTENCE_END: Final = re.compile(r"[.!?…]+(?=\s|$)")


def greeting(profile: AgentProfile) -> str:
    """The first words of a call, literal: that an AI speaks, and for whom.

    The tenant's own welcome is kept when all its variables are known, when it isn't too long and
    doesn't deny the AI; what it leaves unsaid is put before it. Where calls are recorded, that is
    said next.
    """
    first = _first_words(profile)
    return _with_notice(profile, first) if profile.recording else first


def _with_notice(profile: AgentProfile, first: str) -> str:
    """Behind the sentence that names the AI."""
    notice = sentence(profile.language, "recording_notice")
    named = len(disclosure(first))
    end = next((found.end() for found in _SENTENCE_END.finditer(first, max(named - 1, 0))), None)
    if end is None:
        return f"{first.rstrip(' ,;:')}. {notice}"
    return f"{first[:end].strip()} {notice} {first[end:].strip()}".strip()


def _first_words(profile: AgentProfile) -> str:
    persona = _persona(profile)
    company, name = _company(profile), _agent_name(profile)
    gender = _gender(profile)
    own = _own_welcome(profile, persona, company, name)
    if own:
        return own
    if not company:
        named = name or persona.lines["unnamed_" + gender]
        return persona.lines["greeting_no_company_" + gender].format(name=named)
    key = "greeting_" if name else "greeting_unnamed_"
    return persona.lines[key + gender].format(opening=_opening(profile, company), name=name)


def disclosure(greeting: str) -> str:
    """So much of a greeting must have been heard for the caller to know that an AI speaks."""
    words = greeting.split()
    for count in range(1, len(words)):
        heard = " ".join(words[:count])
        if _NAMES_AI.search(heard):
            return heard
    return greeting


def introduction(profile: AgentProfile) -> str:
    """The first words of a text conversation, literal: that an AI writes, and for whom. The
    tenant's own are kept as `greeting` keeps them; what they leave unsaid is put before them."""
    gender = _gender(profile)
    key = f"text_introduction_{gender}" if profile.company else f"text_introduction_nobody_{gender}"
    fixed = sentence(profile.language, key, name=profile.name, company=profile.company)
    if wording_problem(profile, profile.text_introduction):
        return fixed
    company = _company(profile)
    known = _known(company, _agent_name(profile))
    own = placeholders.resolve(_one_line(profile.text_introduction), known)
    if not own:
        return fixed
    says_whom = not company or _letters(company) in _letters(own)
    said = own.replace(company, "") if company else own
    if says_whom and _NAMES_AI.search(said):
        return own
    return f"{fixed} {_without_hello(own)}".strip()


def wording_problem(profile: AgentProfile, words: str) -> str:
    """Why a tenant's own first words aren't said: "too_long" (MAX_GREETING characters),
    "unknown_variable", "denies_ai"; "" when they are."""
    plain = _one_line(words)
    if len(plain) > MAX_GREETING:
        return "too_long"
    resolved = placeholders.resolve(plain, _known(_company(profile), _agent_name(profile)))
    if resolved is None:
        return "unknown_variable"
    return "denies_ai" if _DENIES_AI.search(resolved) else ""


def _own_welcome(profile: AgentProfile, persona: Persona, company: str, name: str) -> str:
    text = _one_line(profile.greeting)
    if not text or len(text) > MAX_GREETING:
        return ""
    resolved = placeholders.resolve(text, _known(company, name))
    if resolved is None or _DENIES_AI.search(resolved) or not _without_hello(resolved):
        return ""
    gender = _gender(profile)
    says_whom = not company or _letters(company) in _letters(resolved)
    said = resolved.replace(company, "") if company else resolved  # "IA Conseil" is only a name
    says_ai = _NAMES_AI.search(said) is not None
    if says_ai and says_whom:
        return resolved
    lines = persona.lines
    if says_ai:
        before = lines["welcome_for"].format(company=company)
    else:  # the first sentence says both, even where the tenant's own says for whom
        clause = lines["clause_" + gender].format(name=name or lines["unnamed_" + gender])
        before = (
            lines["clause_for"].format(clause=clause, company=company) if company else f"{clause}."
        )
    return f"{before} {_without_hello(resolved)}".strip()


def _without_hello(text: str) -> str:
    rest = _HELLO.sub("", text, count=1) if _HELLO.match(text) else text
    return rest[:1].upper() + rest[1:]


def _opening(profile: AgentProfile, company: str) -> str:
    """The company behind its trade's prefix, unless its name already says what it is."""
    persona = _persona(profile)
    titled = _TITLE.fullmatch(company)
    line = _TITLED_SECTORS.get(normalise_sector(profile.sector))
    if titled and line:
        return persona.lines[line].format(name=titled["name"])
    prefix = _trade(persona, profile).prefix
    if not prefix or titled or not _ESTABLISHMENTS.isdisjoint(bare_words(company).split()):
        return company
    return f"{prefix} {company}"


# --------------------------------------------------------------------------- instructions


def instructions(profile: AgentProfile, context: CallContext) -> str:
    """The system prompt, in the language of the profile. Raises ValueError if `context.now` is
    naive."""
    return _instructions(profile, context, about_call(profile, context))


def lasting_instructions(
    profile: AgentProfile,
    *,
    has_transfer: bool,
    has_knowledge: bool,
    has_texts: bool,
    about_call: str,
) -> str:
    """The same without what is of one call alone, for whoever keeps it: in its place stands
    `about_call`, where that is filled in later."""
    timeless = CallContext(
        _NEVER, None, has_transfer, has_knowledge=has_knowledge, has_texts=has_texts
    )
    return _instructions(profile, timeless, about_call)


def about_call(profile: AgentProfile, context: CallContext) -> str:
    """The lines about one call: when it is, who calls, what has been done. Raises ValueError if
    `context.now` is naive."""
    if context.now.tzinfo is None:
        raise ValueError("context.now has no time zone")
    persona = _persona(profile)
    lines = _bullets(_context(profile, persona, context))
    for key, answers in (("already_done", context.already_done), ("looked_up", context.looked_up)):
        if answers:
            lines += [f"- {persona.lines[key]}", *(f"> {_data(answer)}" for answer in answers)]
    return "\n".join(lines)


def _instructions(profile: AgentProfile, context: CallContext, about_call: str) -> str:
    persona = _persona(profile)
    trade = _trade(persona, profile)
    functions = function_names(
        profile.agent_type,
        has_transfer=context.has_transfer,
        has_knowledge=context.has_knowledge,
        has_texts=context.has_texts,
        recording=profile.recording,
    )
    callback = _one_of(
        persona, [name for name in functions if name in ("create_ticket", "take_message")]
    )
    kind = profile.agent_type.value
    sections = [
        ("identity", [_identity(profile, persona, trade)]),
        (
            "absolute",
            [persona.lines["absolute"], *_bullets([*trade.absolute, *persona.absolute])],
        ),
        ("mission", [persona.missions[kind]]),
        ("style", _bullets(persona.style)),
        ("steps", [f"{at}. {step}" for at, step in enumerate(persona.steps[kind], 1)]),
        ("trade", _bullets(_trade_lines(persona, trade))),
        ("situations", _bullets(_situations(persona, context, callback))),
        ("custom", _custom(profile, persona)),
        ("context", [about_call]),
        ("closing", [persona.lines["closing"]]),
        ("functions", _function_lines(persona, functions, callback)),
    ]
    return "\n\n".join(
        "\n".join([f"# {persona.titles[title]}", *lines]) for title, lines in sections if lines
    )


def _identity(profile: AgentProfile, persona: Persona, trade: Trade) -> str:
    gender = _gender(profile)
    return persona.lines["identity_" + gender].format(
        name=_agent_name(profile) or persona.lines["unnamed_" + gender],
        company=_company(profile) or persona.lines["unnamed_company"],
        kind=trade.kind,
    )


def _trade_lines(persona: Persona, trade: Trade) -> list[str]:
    return [
        persona.lines["questions"].format(questions=" ; ".join(trade.questions)),
        *trade.habits,
        persona.lines["vocabulary"].format(vocabulary=trade.vocabulary),
    ]


def _situations(persona: Persona, context: CallContext, callback: str) -> list[str]:
    key = "anger_transfer" if context.has_transfer else "anger_no_transfer"
    anger = persona.lines[key].format(callback=callback)
    return [situation.format(anger=anger) for situation in persona.situations]


def _custom(profile: AgentProfile, persona: Persona) -> list[str]:
    """The tenant's own text, each line quoted: whatever it holds, it can't pass for a section."""
    known = _known(_company(profile), _agent_name(profile))
    text = placeholders.resolve_lines(profile.custom_instructions[:MAX_CUSTOM_INSTRUCTIONS], known)
    lines = [line for line in (_one_line(line) for line in text.splitlines()) if line]
    return [persona.lines["custom"], *(f"> {line}" for line in lines)] if lines else []


def _context(profile: AgentProfile, persona: Persona, context: CallContext) -> list[str]:
    lines, locale = persona.lines, profile.language
    today = context.now.date()
    days = [today + timedelta(days=ahead) for ahead in range(1, 8)]
    said = [
        lines["now"].format(
            day=calendar_day(today, locale),
            time=spoken_time(context.now.time(), locale),
            iso=context.now.isoformat(timespec="minutes"),
            zone=context.now.tzinfo,
        ),
        lines["calendar"].format(
            days=", ".join(
                f"{calendar_day(day, locale, year=False)} = {day.isoformat()}" for day in days
            )
        ),
    ]
    if context.written:
        said.append(_writer(lines, context.caller_number))
    else:
        said.append(_caller(lines, context.caller_number, locale))
        said.append(lines["resumed" if context.resumed else "fresh"])
    # What others have said stands in lines of its own: it can't pass for a section.
    said += [line for each in context.remembered[:MOST_LINES] if (line := _plain(each, _MAX_ENTRY))]
    return said


def _caller(lines: Mapping[str, str], number: str | None, locale: str) -> str:
    known = normalise(number)
    if known is None:
        return lines["caller_withheld"]
    return lines["caller_known"].format(number=known, spoken=spoken_digits(known, locale))


def _writer(lines: Mapping[str, str], number: str | None) -> str:
    known = normalise(number)
    return lines["writer_number"].format(number=known) if known else lines["writer_address"]


def _function_lines(persona: Persona, functions: Sequence[str], callback: str) -> list[str]:
    lines = persona.lines
    rules = [rule for name in functions for rule in persona.functions[name]]
    if "check_availability" not in functions:
        rules.append(lines["no_booking"].format(callback=callback))
    if "transfer_call" not in functions:
        rules.append(lines["no_transfer"])
    rules += [lines["callback"].format(callback=callback), lines["failure"]]
    return [*_bullets(rules), lines["last"]]


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _one_of(persona: Persona, names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return persona.lines["or"].format(first=", ".join(names[:-1]), last=names[-1])


# ------------------------------------------------------------------------------ plain text


def _persona(profile: AgentProfile) -> Persona:
    return ENGLISH if language_of(profile.language) == "en" else FRENCH


def _trade(persona: Persona, profile: AgentProfile) -> Trade:
    return persona.trades[normalise_sector(profile.sector)]


def _gender(profile: AgentProfile) -> str:
    return "male" if profile.voice == "male" else "female"


def _company(profile: AgentProfile) -> str:
    return _plain(profile.company, _MAX_COMPANY)


def _agent_name(profile: AgentProfile) -> str:
    """ "" when the tenant left a word that is no name ("Assistant")."""
    name = _plain(profile.name, _MAX_NAME)
    return "" if bare_words(name) in _NO_NAME else name


def _known(company: str, name: str) -> dict[str, str]:
    """The variables that a tenant's text may use. "{name}" isn't one: of whom?"""
    companies = (
        "company companyname business businessname entreprise nomentreprise nomdelentreprise "
        "societe nomsociete nomdelasociete tenant tenantname organization organisation"
    )
    agents = (
        "agent agentname nomagent nomdelagent assistant assistantname nomassistant "
        "nomdelassistant nomdelassistante prenomagent sara"
    )
    return {
        **dict.fromkeys(companies.split(), company),
        **dict.fromkeys(agents.split(), name),
    }


def _plain(text: str, limit: int) -> str:
    """One line that is safe to speak and to put into a prompt."""
    return " ".join(placeholders.remove(_one_line(text)).split())[:limit].strip()


_NO_BRACES: Final = str.maketrans("{}", "()")
_PICTOGRAMS: Final = re.compile("[\U0001f000-\U0001ffff]")


def _one_line(text: str) -> str:
    """Composed, without control and format characters nor pictograms, single spaces."""
    shown = _PICTOGRAMS.sub("", unicodedata.normalize("NFC", text))
    if not shown.isprintable():
        shown = "".join(c for c in shown if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(shown.split())


def _data(text: str) -> str:
    """One line to be quoted, without braces: nothing in it can pass for a variable."""
    return _one_line(text).translate(_NO_BRACES)[:_MAX_ANSWER]


def _letters(text: str) -> str:
    return bare_words(text).replace(" ", "")


def _words(text: str) -> list[str]:
    """Folded words in the singular, near enough to compare."""
    words = bare_words(text[:200]).split()
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words]


_SECTOR_OF: Final[Mapping[str, str]] = {
    " ".join(_words(alias)): sector
    for sector, aliases in _SECTOR_WORDS.items()
    for alias in (sector, *aliases.split(","))
}
