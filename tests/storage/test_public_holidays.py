"""Public holidays: what the laws say, written down by hand, against what the library says."""

from datetime import date

import pytest

from domain.errors import Invalid
from storage.public_holidays import FRENCH_REGIONS, known_region, public_holidays

YEAR = date(2027, 1, 1), date(2027, 12, 31)
#: Code du travail, L3133-1: in all of France. In 2027 Easter is on 28 March.
EVERYWHERE = set(
    "01-01 03-29 05-01 05-06 05-08 05-17 07-14 08-15 11-01 11-11 12-25".split()
)  # fmt: skip
#: L3134-13 for Alsace and Moselle, L3422-2 and the decree 83-1003 for the abolition of slavery
#: overseas, the territories' own laws.
BESIDES = {
    "FR": "",
    "FR-6AE": "03-26 12-26",
    "FR-57": "03-26 12-26",
    "FR-971": "05-27",
    "FR-972": "05-22",
    "FR-973": "06-10",
    "FR-974": "12-20",
    "FR-976": "04-27",
    "FR-BL": "10-09",
    "FR-MF": "05-28",
    "FR-NC": "09-24",
    "FR-PF": "03-05 03-26 11-20",
    "FR-WF": "04-28 06-29 07-29",
}


@pytest.mark.parametrize("region", BESIDES)
async def test_france_and_its_regions(region: str) -> None:
    found = {f"{day:%m-%d}" for day in await public_holidays(region, *YEAR)}
    assert found >= EVERYWHERE | set(BESIDES[region].split())
    others = {day for days in BESIDES.values() for day in days.split()} - {"03-26"}
    assert not found & others - set(BESIDES[region].split())


async def test_all_regions_that_are_offered_are_known() -> None:
    for region in FRENCH_REGIONS:
        assert await known_region(region) == region


async def test_other_countries() -> None:
    belgium = await public_holidays("BE", *YEAR)
    assert belgium[date(2027, 7, 21)] == "Nationale feestdag"
    bavaria = await public_holidays("DE-BY", *YEAR)
    assert date(2027, 1, 6) in bavaria
    assert date(2027, 1, 6) not in await public_holidays("DE-BE", *YEAR)


@pytest.mark.parametrize(
    ("written", "code"),
    [("fr", "FR"), (" FR-67 ", "FR-6AE"), ("fr-re", "FR-974"), ("DE-BY", "DE-BY")],
)
async def test_codes(written: str, code: str) -> None:
    assert await known_region(written) == code


@pytest.mark.parametrize("written", ["", "XX", "FRA", "FR-75", "FR-Zone A", "FR-", "../etc", "é"])
async def test_what_is_no_region(written: str) -> None:
    with pytest.raises(Invalid) as caught:
        await known_region(written)
    assert caught.value.field == "holiday_region"


async def test_only_the_days_that_were_asked_for() -> None:
    found = await public_holidays("FR", date(2026, 12, 25), date(2027, 1, 1))
    assert list(found.values()) == ["Noël", "Jour de l'an"]
    assert await public_holidays("FR-gone", *YEAR) == {}


@pytest.mark.parametrize("language", ["en_US", "uk"])
async def test_names_are_the_countrys_whatever_the_servers_locale(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", language)
    # Years that nobody has asked for yet.
    day = date(2040 + len(language), 12, 25)
    assert list((await public_holidays("FR", day, day)).values()) == ["Noël"]
