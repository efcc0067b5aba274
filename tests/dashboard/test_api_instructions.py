"""Instructions with versions: one truth, which calls read, whoever wrote it."""

import sqlalchemy as sa

from domain.tenant import Tenant
from storage import Storage
from storage.schema import instruction_versions
from tests.dashboard.api_client import Client

PATH = "/api/v1/instructions"


async def _used(owner: Client) -> str:
    """What calls are told: the telephone's configuration."""
    text: str = (await owner.phone())["config"]["sara"]["customInstructions"]
    return text


async def test_what_the_page_saves_is_a_version(owner: Client) -> None:
    for words in ("Proposer un café.", "Proposer un thé.", "Proposer un thé."):
        await owner.put_phone(config={"sara": {"customInstructions": words}})
    await owner.put_phone(config={"sara": {"assistantName": "Léa"}})
    listed = await owner.get(PATH)
    assert [(it["number"], it["text"], it["active"]) for it in listed["versions"]] == [
        (2, "Proposer un thé.", True),
        (1, "Proposer un café.", False),
    ]
    assert listed["text"] == listed["active"]["text"] == "Proposer un thé."


async def test_going_back_changes_what_calls_are_told(owner: Client) -> None:
    await owner.put_phone(
        config={"sara": {"customInstructions": "Un.", "agentType": "support"}}, enabled=True
    )
    made = await owner.send("POST", PATH, json={"text": "Deux.", "note": "essai"})
    assert made.status_code == 201, made.text
    assert made.json()["version"]["active"]
    assert await _used(owner) == "Deux."
    first = (await owner.get(PATH))["versions"][1]
    assert (await owner.get(f"{PATH}/{first['id']}"))["diff"][3:] == ["-Deux.", "+Un."]
    back = await owner.send("POST", f"{PATH}/{first['id']}/activate")
    assert back.status_code == 200, back.text
    assert await _used(owner) == "Un."
    phone = await owner.phone()
    assert (phone["enabled"], phone["config"]["sara"]["agentType"]) == (True, "support")
    listed = await owner.get(PATH)
    assert [it["active"] for it in listed["versions"]] == [False, True]
    assert len(listed["versions"]) == 2
    actions = {line["action"] for line in (await owner.get("/api/v1/audit"))["entries"]}
    assert actions >= {"instructions.activated", "instructions.saved"}


async def test_a_draft_waits(owner: Client) -> None:
    await owner.put_phone(config={"sara": {"customInstructions": "Un."}})
    await owner.send("POST", PATH, json={"text": "Plus tard.", "activate": False})
    assert await _used(owner) == "Un."
    listed = await owner.get(PATH)
    assert [(it["text"], it["active"]) for it in listed["versions"]] == [
        ("Plus tard.", False),
        ("Un.", True),
    ]
    page = await owner.get(f"{PATH}?limit=1")
    assert page["next"] == 2
    assert (await owner.get(f"{PATH}?limit=1&before=2"))["versions"][0]["text"] == "Un."


async def test_what_was_there_before_versions_is_the_first(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    """As an import, or an earlier release, has left it."""
    await owner.put_phone(config={"sara": {"customInstructions": "Ancien."}})
    async with storage.tenant(garage.id).write() as rows:
        await rows._scope.connection.execute(sa.delete(instruction_versions))
    assert (await owner.get(PATH))["text"] == "Ancien."
    await owner.send("POST", PATH, json={"text": "Nouveau."})
    listed = await owner.get(PATH)
    assert [it["text"] for it in listed["versions"]] == ["Nouveau.", "Ancien."]


async def test_preview(owner: Client) -> None:
    await owner.put_phone(
        config={"sara": {"customInstructions": "Nous sommes {entreprise}.\nAppelez {inconnu}."}}
    )
    shown = await owner.get(f"{PATH}/preview")
    assert "> Nous sommes Garage du Port." in shown["instructions"]
    assert "inconnu" not in shown["instructions"]
    assert "assistante IA" in shown["text_introduction"]
    assert shown["greeting"].startswith(shown["disclosure"])
    assert shown["problems"] == []


async def test_the_tenants_words_stand_around_the_clause_that_names_an_ai(owner: Client) -> None:
    tried = await owner.send(
        "POST",
        f"{PATH}/preview",
        json={
            "welcomeMessage": "Bonjour et bienvenue au Garage du Port !",
            "textIntroduction": "Merci de nous écrire !",
        },
    )
    shown = tried.json()
    assert "intelligence artificielle" in shown["disclosure"] or " IA" in shown["disclosure"]
    assert shown["greeting"].endswith("Bienvenue au Garage du Port !")
    assert shown["text_introduction"].endswith(
        "assistante IA de Garage du Port : Merci de nous écrire !"
    )
    denied = await owner.send(
        "POST",
        f"{PATH}/preview",
        json={"welcomeMessage": "Je ne suis pas une IA.", "textIntroduction": "{qui} vous répond"},
    )
    assert {(it["field"], it["reason"]) for it in denied.json()["problems"]} == {
        ("welcomeMessage", "denies_ai"),
        ("textIntroduction", "unknown_variable"),
    }
    assert "pas une IA" not in denied.json()["greeting"]


async def test_another_businesss_version_isnt_there(owner: Client, stranger: Client) -> None:
    made = (await owner.send("POST", PATH, json={"text": "À nous."})).json()["version"]
    for method, path in (
        ("GET", f"{PATH}/{made['id']}"),
        ("POST", f"{PATH}/{made['id']}/activate"),
    ):
        assert (await stranger.send(method, path)).status_code == 404
    assert (await stranger.get(PATH))["versions"] == []


async def test_first_words_that_deny_the_ai_are_refused(owner: Client) -> None:
    refused = await owner.put_phone(config={"sara": {"welcomeMessage": "Je ne suis pas un robot."}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "config.sara.welcomeMessage"
    assert (await owner.put_phone(config={"recording": {"enabled": True}})).status_code == 200
    shown = await owner.get(f"{PATH}/preview")
    assert "Cet appel est enregistré" in shown["greeting"]
    assert "refuse_recording" in shown["instructions"]
