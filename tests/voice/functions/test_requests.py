"""Prospects, tickets, messages, transfers, endings."""

from dataclasses import replace

import pytest

from domain.outcome import Outcome
from tests.voice.functions.shop import CALLER, OWNER, Shop, both_databases

# ------------------------------------------------------------------------ qualify_prospect


@both_databases
async def test_prospect(shop: Shop) -> None:
    context = await shop.call()
    finished = await shop.run(
        "qualify_prospect",
        {
            "name": "Claire Petit",
            "interest": "achat",
            "place": "Toulouse",
            "budget_max": "300 000 €",
            "property_type": "T3",
            "deadline": "avant l'été",
            "notes": "balcon",
        },
        context,
    )
    (row,) = (await shop.rows())["prospects"]
    assert finished.result == {"status": "stored", "prospect_id": row.id, "missing": []}
    assert (row.contact_id is not None, row.status, row.missing) == (True, "qualified", [])
    assert finished.effect is Outcome.QUALIFIED
    assert (row.name, row.phone, row.interest) == ("Claire Petit", CALLER, "achat")
    assert (row.place, row.property_type, row.deadline) == ("Toulouse", "T3", "avant l'été")
    assert (row.budget_min, row.budget_max) == (None, 300_000)
    assert (row.notes, row.call_id) == ("balcon", context.call_id)


async def test_prospect_of_whom_little_is_known(shop: Shop) -> None:
    result = await shop.answer(
        "qualify_prospect", {"interest": "vente", "name": "inconnu"}, await shop.call(None)
    )
    assert result["missing"] == ["deadline", "budget_max", "name", "phone"]
    assert result["next"] == "Pour quand est-ce prévu ?"
    (row,) = (await shop.rows())["prospects"]
    assert (row.name, row.phone) == ("", None)


@both_databases
async def test_a_project_is_told_bit_by_bit(shop: Shop) -> None:
    """An estate agency: each answer completes the one row, and brings the next question."""
    shop.tenant = replace(shop.tenant, sector="agence immobilière")
    context = await shop.call()
    asked = []
    for said in (
        {"interest": "je cherche quelque chose"},
        {"interest": "achat", "place": "Toulouse"},
        {"interest": "achat", "property_type": "T3", "budget_max": "300k"},
        {"interest": "achat", "rooms": "3", "surface": "65", "name": "Claire Petit"},
        {"interest": "achat", "deadline": "dans deux mois", "financing": "accord de la banque"},
    ):
        result = await shop.answer("qualify_prospect", said, context)
        asked.append((result["missing"][:1], result.get("next")))
    assert asked == [
        (["place"], "Dans quel secteur cherchez-vous ?"),
        (["property_type"], "Quel type de bien est-ce : une maison, un appartement, autre chose ?"),
        (["rooms"], "Combien de pièces ?"),
        (["deadline"], "Pour quand est-ce prévu ?"),
        ([], None),
    ]
    (row,) = (await shop.rows())["prospects"]
    assert (row.place, row.budget_max, row.score, row.status) == (
        "Toulouse",
        300_000,
        100,
        "qualified",
    )
    assert row.answers["surface"] == 65


async def test_budgets_in_the_wrong_order(shop: Shop) -> None:
    await shop.answer(
        "qualify_prospect", {"interest": "achat", "budget_min": "300k", "budget_max": 250_000}
    )
    (row,) = (await shop.rows())["prospects"]
    assert (row.budget_min, row.budget_max) == (250_000, 300_000)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"interest": ""},
        {"interest": "achat", "budget_max": "cher"},
        {"interest": "achat", "budget_max": 10**13},
        {"interest": "achat", "phone": "06 39"},
    ],
)
async def test_no_prospect(shop: Shop, arguments: dict) -> None:
    result = await shop.answer("qualify_prospect", arguments)
    assert result["status"] == "invalid"
    assert "prospect_id" not in result
    assert (await shop.rows())["prospects"] == []


# --------------------------------------------------------------------------- create_ticket


@both_databases
async def test_ticket(shop: Shop) -> None:
    context = await shop.call()
    finished = await shop.run(
        "create_ticket",
        {
            "subject": "Fuite colonne montante",
            "description": "Bâtiment A, troisième étage",
            "priority": "urgent",
            "name": "Hélène Berger",
            "phone": "06 39 98 76 54",
        },
        context,
    )
    (row,) = (await shop.rows())["tickets"]
    assert finished.result == {"status": "created", "ticket_id": row.id}
    assert finished.effect is Outcome.TICKET
    assert (row.subject, row.description) == (
        "Fuite colonne montante",
        "Bâtiment A, troisième étage",
    )
    assert (row.priority, row.category) == ("urgent", "demande")
    assert (row.customer_name, row.customer_phone) == ("Hélène Berger", "+33639987654")
    assert (row.call_id, row.status) == (context.call_id, "open")


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        (None, "medium"),
        ("", "medium"),
        ("HIGH", "high"),
        ("Élevée", "high"),
        ("urgence", "urgent"),
        ("basse", "low"),
        ("normal", "medium"),
        ("moyenne", "medium"),
        ("dès que possible", "medium"),
        (1, "medium"),
    ],
)
async def test_priority(shop: Shop, said: object, stored: str) -> None:
    result = await shop.answer("create_ticket", {"subject": "Panne", "priority": said})
    assert result["status"] == "created"
    (row,) = (await shop.rows())["tickets"]
    assert row.priority == stored


async def test_anonymous_ticket(shop: Shop) -> None:
    result = await shop.answer("create_ticket", {"subject": "Panne"}, await shop.call(None))
    assert result["status"] == "created"
    (row,) = (await shop.rows())["tickets"]
    assert (row.customer_name, row.customer_phone) == ("", None)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"subject": " "}, {"subject": ["x"]}, {"subject": "Panne", "phone": "douze"}],
)
async def test_no_ticket(shop: Shop, arguments: dict) -> None:
    result = await shop.answer("create_ticket", arguments)
    assert result["status"] == "invalid"
    assert "ticket_id" not in result
    assert (await shop.rows())["tickets"] == []


# ---------------------------------------------------------------------------- take_message


@both_databases
async def test_message(shop: Shop) -> None:
    finished = await shop.run(
        "take_message",
        {"message": "Rappelez-moi demain", "name": "Marc", "recipient": "Monsieur Martin"},
    )
    (row,) = (await shop.rows())["tickets"]
    assert finished.result == {"status": "created", "ticket_id": row.id}
    assert finished.effect is Outcome.MESSAGE
    assert (row.subject, row.description) == (
        "Message téléphonique pour Monsieur Martin",
        "Rappelez-moi demain",
    )
    assert (row.category, row.customer_name, row.customer_phone) == ("rappel", "Marc", CALLER)


@pytest.mark.parametrize(
    ("said", "caller", "category", "missing"),
    [
        ({"call_back_when": "demain matin"}, CALLER, "rappel", None),
        ({"call_back": False}, CALLER, "message", None),
        ({"call_back": "false"}, CALLER, "message", None),
        ({}, None, "message", ["phone"]),
        ({"phone": "06 39 98 12 34"}, None, "rappel", None),
    ],
)
async def test_who_is_called_back(
    shop: Shop, said: dict, caller: str | None, category: str, missing: list[str] | None
) -> None:
    context = await shop.call(caller)
    result = await shop.answer("take_message", {"message": "Bonjour", **said}, context)
    (row,) = (await shop.rows())["tickets"]
    assert (row.category, row.callback_when) == (category, said.get("call_back_when"))
    assert result.get("missing") == missing


async def test_a_promise_in_a_ticket(shop: Shop) -> None:
    await shop.answer("create_ticket", {"subject": "Devis", "call_back_when": "ce soir"})
    (row,) = (await shop.rows())["tickets"]
    assert (row.category, row.callback_when, row.customer_phone) == ("rappel", "ce soir", CALLER)


async def test_message_for_nobody_in_particular(shop: Shop) -> None:
    await shop.answer("take_message", {"message": "Rappelez-moi"})
    (row,) = (await shop.rows())["tickets"]
    assert row.subject == "Message téléphonique"


async def test_no_message(shop: Shop) -> None:
    assert (await shop.answer("take_message", {"name": "Marc"}))["status"] == "invalid"
    assert (await shop.rows())["tickets"] == []


# --------------------------------------------------------------------------- transfer_call


async def test_transfer(shop: Shop) -> None:
    finished = await shop.run("transfer_call", {"reason": "en colère"})
    assert finished.result == {"status": "transferring"}
    assert (finished.then, finished.detail, finished.effect) == ("transfer", "en colère", None)


@pytest.mark.parametrize(("caller", "number"), [(CALLER, None), (OWNER, OWNER)])
async def test_nobody_to_transfer_to(shop: Shop, caller: str, number: str | None) -> None:
    context = await shop.call(caller, transfer_number=number)
    finished = await shop.run("transfer_call", {}, context)
    assert finished.result["status"] == "unavailable"
    assert "message" in finished.result["spoken"]
    assert finished.then == ""


async def test_the_model_does_not_choose_whom_to_call(shop: Shop) -> None:
    finished = await shop.run("transfer_call", {"number": "+33899000000", "to": "0899"})
    assert "899" not in str(finished)


# -------------------------------------------------------------------------------- end_call


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        (None, "done"),
        ("done", "done"),
        ("Le client a fini", "done"),
        ("wrong_number", "wrong_number"),
        ("Wrong number", "wrong_number"),
        ("faux numéro", "wrong_number"),
        ("il s'est trompé de numéro", "wrong_number"),
    ],
)
async def test_end(shop: Shop, reason: str | None, detail: str) -> None:
    finished = await shop.run("end_call", {"reason": reason})
    assert finished.result == {"status": "ending"}
    assert (finished.then, finished.detail, finished.effect) == ("end", detail, None)


@both_databases
async def test_who_dictates_a_customers_number_isnt_written_to_in_their_place(shop: Shop) -> None:
    handle = shop.storage.tenant(shop.tenant.id)
    async with handle.write() as rows:
        victim = await rows.contacts.person(name="Léa", phone="+33639985555", source="call")
    assert victim is not None
    said = {"interest": "achat", "name": "Léa", "phone": "+33639985555", "email": "e@vil.example"}
    await shop.answer("qualify_prospect", said, await shop.call())
    async with handle.read() as rows:
        found = await rows.contacts.get(victim.id)
        assert found is not None
        assert found.address("email") is None
        # The business is asked: about the e-mail address, and about the caller's own number.
        assert len(await rows.contacts.proposals(victim.id)) == 2
    # What somebody says of themselves is theirs, and still no place to tell of other appointments.
    own = {"interest": "achat", "name": "Paul", "email": "paul@client.example"}
    await shop.answer("qualify_prospect", own, await shop.call())
    async with handle.read() as rows:
        caller = await rows.contacts.of(phone=CALLER)
    assert caller is not None
    assert (caller.address("email"), caller.proven("email")) == ("paul@client.example", None)
    assert caller.proven("phone") == CALLER
