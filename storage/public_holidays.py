"""Public holidays, from the `holidays` library: whose they are is a region's code.

A code is a country's ("FR", "BE") or one of its parts' as ISO 3166-2 or the library calls them
("FR-974", "FR-RE", "DE-BY"). In Alsace and Moselle Good Friday counts everywhere, though the law
says so only where there is a Protestant church (code du travail, L3134-13): where it isn't, an
exception opens the day.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from domain.errors import Invalid

#: France as people choose it; other countries, and their parts, are taken as well.
FRENCH_REGIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "FR": "France métropolitaine",
        "FR-6AE": "Alsace",
        "FR-57": "Moselle",
        "FR-971": "Guadeloupe",
        "FR-972": "Martinique",
        "FR-973": "Guyane",
        "FR-974": "La Réunion",
        "FR-976": "Mayotte",
        "FR-BL": "Saint-Barthélemy",
        "FR-MF": "Saint-Martin",
        "FR-NC": "Nouvelle-Calédonie",
        "FR-PF": "Polynésie française",
        "FR-PM": "Saint-Pierre-et-Miquelon",
        "FR-TF": "Terres australes et antarctiques françaises",
        "FR-WF": "Wallis-et-Futuna",
    }
)

#: ISO 3166-2 codes that the library spells otherwise: the departments of Alsace.
_SPELLED: Final = {"FR-67": "FR-6AE", "FR-68": "FR-6AE"}
_CODE: Final = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,4}))?")


async def known_region(text: str) -> str:
    """The code as it is stored. Invalid when the library has no such region."""
    return await asyncio.to_thread(_known, text.strip().upper())


async def public_holidays(region: str, first: date, last: date) -> Mapping[date, str]:
    """The days from `first` to `last`, both included, with their names in the language of the
    country. None for a region that isn't known any more.

    The library takes 0.1 s to load, once, and does so in a thread: the loop is kept for 4 ms at
    most (measured).
    """
    found: dict[date, str] = {}
    for year in range(first.year, last.year + 1):
        days = _kept.get((region, year))
        if days is None:
            days = await asyncio.to_thread(_of_year, region, year)
            _keep(region, year, days)
        found.update((day, name) for day, name in days.items() if first <= day <= last)
    return found


#: What was asked before, of this process; a handful of regions and years.
_kept: Final[dict[tuple[str, int], Mapping[date, str]]] = {}
_MOST_KEPT: Final = 2000


def _keep(region: str, year: int, days: Mapping[date, str]) -> None:
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    _kept[region, year] = days


def _of_year(region: str, year: int) -> Mapping[date, str]:
    from holidays import country_holidays  # not before somebody wants one

    country, _, part = region.partition("-")
    try:
        # Left to itself, the library takes the language of the server's locale.
        language = country_holidays(country).default_language
        return dict(country_holidays(country, subdiv=part or None, years=year, language=language))
    except NotImplementedError:  # a newer library has dropped it
        return {}


def _known(text: str) -> str:
    match = _CODE.fullmatch(_SPELLED.get(text, text))
    region = match and _in_library(match[1], match[2])
    if not region:
        raise Invalid(
            "Give the code of a country (FR) or of a part of it (FR-57, FR-974) whose public "
            "holidays are known.",
            field="holiday_region",
            message_key="holiday_region_unknown",
        )
    return region


def _in_library(country: str, part: str | None) -> str | None:
    from holidays import country_holidays, list_supported_countries

    if country not in list_supported_countries():
        return None
    if part is None:
        return country
    calendar = country_holidays(country)
    spelled = {each.upper(): each for each in calendar.subdivisions}
    spelled |= {name.upper(): each for name, each in calendar.subdivisions_aliases.items()}
    return f"{country}-{spelled[part]}" if part in spelled else None
