"""The cascade's leg: turns, barge-in, back-channels, functions, and links that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.errors import ProviderError
from tests.voice.cascade_models import (
    FAILURE,
    QUIET,
    SPEC,
    Ear,
    Hearing,
    Speaking,
    Thinking,
    clip,
    hear,
    hear_live,
    request,
)
from voice import events as ev
from voice.cascade import CascadeConnector, CascadeLeg, CascadeModels

VOICES = {"female": "anna", "male": "marc"}
SENTENCE = clip("rdv_demain_14h")
OUI = clip("oui_marc")
ATTENDEZ = clip("interruptions_00_paul")
LONG = (
    "Voici une première phrase assez longue. En voilà une deuxième. "
    "Puis une troisième. Enfin la dernière."
)


class Stage:
    """A connected leg, its models and its ear."""

    def __init__(self, hearing: Hearing, thinking: Thinking, speaking: Speaking) -> None:
        self.hearing, self.thinking, self.speaking = hearing, thinking, speaking
        self.ear = Ear()

    @property
    def leg(self) -> CascadeLeg:
        assert self.ear.leg is not None
        return self.ear.leg


@asynccontextmanager
async def connected(
    *heard: str | ProviderError | float,
    says: object = ("D'accord.",),
    speaking: Speaking | None = None,
) -> AsyncIterator[Stage]:
    assert isinstance(says, tuple)
    stage = Stage(Hearing(list(heard) or [""]), Thinking(list(says)), speaking or Speaking())
    models = CascadeModels(stage.hearing, stage.thinking, stage.speaking, VOICES)
    async with asyncio.TaskGroup() as tasks:
        leg = await CascadeConnector(models, tasks).connect(SPEC)
        stage.ear.leg = leg
        leg.listen(stage.ear)
        try:
            yield stage
        finally:
            await leg.close()


async def test_a_turn_is_written_down_answered_and_spoken() -> None:
    async with connected("Demain à quatorze heures.", says=("Très bien. C'est noté.",)) as on:
        hear(on.leg, QUIET * 20 + SENTENCE, 300)
        await asyncio.sleep(0.05)  # the transcript is there
        hear(on.leg, b"", 1200)
        await on.ear.until_done()
        kinds = [type(each) for each in on.ear.events]
    turn = [ev.AgentReady, ev.CallerSpeechStarted, ev.CallerSpeechStopped, ev.CallerSaid]
    assert kinds[:4] == turn
    assert on.ear.of(ev.CallerSaid)[0].text == "Demain à quatorze heures."
    assert on.ear.text == "Très bien. C'est noté."
    assert [each[0] for each in on.speaking.asked] == ["Très bien.", "C'est noté."]
    assert on.speaking.asked[0][1] == "anna"
    assert [(each.role, each.text) for each in on.thinking.asked[-1]] == [
        ("system", "Tu es Sara."),
        ("user", "Demain à quatorze heures."),
    ]
    assert on.ear.of(ev.ResponseDone)[0].usage == {"total_tokens": 7}
    # Two sentences of 50 ms a character, and the filter's millisecond.
    assert sum(ms for _, ms, _ in on.ear.sound) == pytest.approx(21 * 50, abs=4)


async def test_what_is_said_goes_out_by_itself_and_in_order() -> None:
    async with connected() as on:
        on.leg.say("Bonjour, je suis Sara.")
        on.leg.say("Vous êtes toujours là ?")
        await on.ear.until_done(2)
        done = on.ear.of(ev.ResponseDone)
        assert [each.status for each in done] == ["completed", "completed"]
        assert on.ear.text == "Bonjour, je suis Sara. Vous êtes toujours là ?"
        on.leg.respond()
        await on.ear.until_done(3)
        said = [each.text for each in on.thinking.asked[0] if each.role == "assistant"]
    assert said == ["Bonjour, je suis Sara.", "Vous êtes toujours là ?"]


async def test_the_first_sentence_sounds_while_the_model_still_writes() -> None:
    async with connected(says=(LONG,)) as on:
        on.thinking.pace = 0.03
        on.leg.respond()
        await on.ear.until(lambda: on.ear.sound)
        assert len(on.speaking.asked) <= 2
        assert not on.ear.of(ev.ResponseDone)


async def test_at_most_two_sentences_ahead_of_the_ear() -> None:
    async with connected(says=(LONG,)) as on:
        on.leg.respond()
        await asyncio.sleep(0.4)  # the first sentence takes two seconds
        assert len(on.speaking.asked) == 3


async def test_clear_goes_out_soon_after_120_ms_of_speech_and_the_rest_is_forgotten() -> None:
    async with connected("Attendez, je ne peux pas mardi.", says=(LONG, "Pardon.")) as on:
        on.leg.respond()
        await on.ear.until(lambda: on.ear.sound)
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await hear_live(on.leg, ATTENDEZ, 1500)
        (cleared,) = on.ear.cleared
        assert cleared - began < 0.120 + 0.060 + 0.040  # the clip's own onset takes a frame or two
        await on.ear.until_done(2)
        said = [each for each in on.thinking.asked[-1] if each.role == "assistant"]
    assert len(said) == 1
    assert LONG.startswith(said[0].text)
    assert 0 < len(said[0].text.split()) < 6
    statuses = [each.status for each in on.ear.of(ev.ResponseDone)]
    assert statuses == ["cancelled", "completed"]
    assert on.ear.text.endswith("Pardon.")


async def test_a_back_channel_cuts_nothing() -> None:
    async with connected("Oui.", says=(LONG, "Jamais dit.")) as on:
        on.leg.respond()
        await on.ear.until(lambda: on.ear.sound)
        await asyncio.sleep(0.5)
        await hear_live(on.leg, OUI, 400)
        await on.ear.until_done(2)
        said = on.ear.of(ev.AgentText)
        items = list(dict.fromkeys(each.item_id for each in said))
        assert len(items) == 2
        assert len(on.thinking.asked) == 1
        rest = "".join(each.text for each in said if each.item_id == items[1])
        # From where it was cut, or from the sentence's beginning, to the very end.
        assert " ".join(LONG.split()[-6:]) in " ".join(rest.split())
        assert all(not each.text for each in on.ear.of(ev.CallerSaid))
        assert [each.status for each in on.ear.of(ev.ResponseDone)] == ["cancelled", "completed"]


async def test_a_short_no_is_no_back_channel() -> None:
    async with connected("Non !", says=(LONG, "Pardon.")) as on:
        on.leg.respond()
        await on.ear.until(lambda: on.ear.sound)
        await asyncio.sleep(0.4)
        await hear_live(on.leg, clip("non_marc"), 700)
        await on.ear.until(lambda: on.ear.text.endswith("Pardon."))
        assert [each.text for each in on.ear.of(ev.CallerSaid) if each.text] == ["Non !"]


async def test_functions_are_asked_for_at_once_and_answered_together() -> None:
    both = [request("check_availability", 1, date="demain"), request("search_knowledge", 2)]
    async with connected(says=(both, "Il y a de la place.")) as on:
        on.leg.respond()
        await on.ear.until_done()
        assert [each.name for each in on.ear.of(ev.FunctionCalled)] == [
            "check_availability",
            "search_knowledge",
        ]
        on.leg.give_result("call_1", '{"a":1}', respond=False)
        on.leg.give_result("call_2", '{"b":2}', respond=True)
        await on.ear.until_done(2)
    told = on.thinking.asked[-1]
    assert [each.id for each in told[1].requests] == ["call_1", "call_2"]
    assert [(each.answers, each.text) for each in told[2:]] == [
        ("call_1", '{"a":1}'),
        ("call_2", '{"b":2}'),
    ]
    assert on.ear.text == "Il y a de la place."


async def test_an_answer_made_on_speculation_calls_nothing_before_its_turn() -> None:
    """The caller goes on: what was made for half the words is thrown away."""
    calls = [request("book_appointment")]
    heard = ("Je voudrais un rendez-vous pour mardi matin.", "Demain matin, plutôt jeudi.")
    async with connected(*heard, says=(calls, "Jeudi, très bien.")) as on:
        hear(on.leg, QUIET * 20 + SENTENCE, 280)
        await on.ear.until(lambda: on.thinking.asked)
        hear(on.leg, SENTENCE, 280)
        await asyncio.sleep(0.1)
        assert not on.ear.of(ev.FunctionCalled)
        hear(on.leg, b"", 1400)
        await on.ear.until_done()
        assert on.ear.text == "Jeudi, très bien."
        assert not on.ear.of(ev.FunctionCalled)
        assert on.hearing.asked[1] > on.hearing.asked[0]  # the whole turn


async def test_noise_is_no_turn() -> None:
    async with connected("Sous-titres réalisés par la communauté d'Amara.org") as on:
        hear(on.leg, QUIET * 20 + OUI, 300)
        await asyncio.sleep(0.05)
        hear(on.leg, b"", 1400)
        await on.ear.until_done()
        assert not on.thinking.asked
        assert not on.ear.sound
        assert [each.text for each in on.ear.of(ev.CallerSaid)] == [""]


async def test_a_sentence_that_fails_once_is_spoken_all_the_same() -> None:
    async with connected(says=("D'accord, très bien.",), speaking=Speaking(failures=1)) as on:
        on.leg.respond()
        await on.ear.until_done()
        assert on.ear.of(ev.ResponseDone)[0].status == "completed"
        assert on.ear.sound


async def test_a_voice_or_a_model_that_is_down_is_told() -> None:
    async with connected(speaking=Speaking(failures=9)) as on:
        on.leg.say("Bonjour à vous.")
        await on.ear.until_done()
        done = on.ear.of(ev.ResponseDone)[0]
        assert (done.status, done.error) == ("failed", "vendor_down")
    async with connected(says=(FAILURE,)) as on:
        on.leg.respond()
        await on.ear.until_done()
        assert on.ear.of(ev.ResponseDone)[0].status == "failed"


@pytest.mark.parametrize("empty", ["", "…", "🙂 👍"])
async def test_an_answer_without_a_word_or_a_function_has_failed(empty: str) -> None:
    async with connected(says=(empty, "Me revoilà.")) as on:
        on.leg.respond()
        await on.ear.until_done()
        done = on.ear.of(ev.ResponseDone)[0]
        assert (done.status, done.error) == ("failed", "llm_empty")
        on.leg.respond()  # as the heart does
        await on.ear.until_done(2)
        assert on.ear.text == "Me revoilà."


async def test_ears_that_never_find_a_word_are_the_end_of_the_leg() -> None:
    heard = ("", "", "Demain.", "", "", "")
    async with connected(*heard, speaking=Speaking(ms=1)) as on:
        on.leg.say("Bonjour à vous.")
        await on.ear.until_done()
        for turn in range(len(heard)):
            assert not on.ear.of(ev.AgentGone)
            hear(on.leg, QUIET * 20 + SENTENCE, 300)
            await asyncio.sleep(0.05)
            hear(on.leg, b"", 1200)
            if turn < len(heard) - 1:
                await on.ear.until_done(turn + 2)
                await asyncio.sleep(0.1)  # what was said has been played
        await on.ear.until(lambda: on.ear.of(ev.AgentGone))
        assert on.ear.events[-1] == ev.AgentGone("stt_empty")
        assert on.ear.text.count("pas bien") == 4


async def test_deaf_ears_are_the_end_of_the_leg() -> None:
    async with connected(FAILURE) as on:
        hear(on.leg, QUIET * 20 + SENTENCE, 1800)
        await on.ear.until(lambda: on.ear.of(ev.AgentGone))
        assert on.ear.of(ev.AgentFault)[0].fatal
        assert on.ear.events[-1] == ev.AgentGone("stt_down")


async def test_words_spoken_while_others_are_written_down_are_one_turn() -> None:
    async with connected("Demain à quatorze heures. Demain à quatorze heures.") as on:
        on.hearing.latency = 0.15
        hear(on.leg, QUIET * 20 + SENTENCE, 1800)
        hear(on.leg, SENTENCE, 300)
        await asyncio.sleep(0.3)
        hear(on.leg, b"", 1500)
        await on.ear.until_done()
        assert on.hearing.asked[-1] > 2 * len(SENTENCE) / 8000
        assert [each.text for each in on.ear.of(ev.CallerSaid) if each.text] != []
        assert len(on.ear.of(ev.CallerSpeechStarted)) == len(on.ear.of(ev.CallerSaid))


async def test_a_cascade_that_failed_must_show_a_sign_before_the_next_call() -> None:
    models = CascadeModels(Hearing([""]), Thinking(["Oui."]), Speaking(failures=2), VOICES)
    async with asyncio.TaskGroup() as tasks:
        connector = CascadeConnector(models, tasks)
        leg = await connector.connect(SPEC)
        ear = Ear(leg)
        leg.listen(ear)
        leg.say("Bonjour.")
        await ear.until_done()
        await leg.close()
        models.tts.failures = 1  # type: ignore[attr-defined]
        with pytest.raises(ProviderError):
            await connector.connect(SPEC)
        await (await connector.connect(SPEC)).close()


@pytest.mark.parametrize("given_up_by", ["stopped", "closed"])
@pytest.mark.parametrize("patience", [0.05, 5.0])
async def test_an_answer_that_was_given_up_after_a_silence_is_a_reason_for_doubt(
    given_up_by: str, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.cascade_leg.STUCK_SECONDS", patience)
    monkeypatch.setattr("voice.cascade._AT_ONCE_SECONDS", 0.1)
    models = CascadeModels(Hearing([""]), Thinking(["Oui."], pace=30), Speaking(), VOICES)
    async with asyncio.TaskGroup() as tasks:
        connector = CascadeConnector(models, tasks)
        leg = await connector.connect(SPEC)
        leg.listen(Ear(leg))
        leg.respond()
        await asyncio.sleep(0.1)
        if given_up_by == "stopped":
            leg.interrupt([], cancel=True)
        await leg.close()
        if patience > 1:
            await (await connector.connect(SPEC)).close()
        else:
            with pytest.raises(ProviderError):
                await connector.connect(SPEC)


async def test_closing_stops_everything() -> None:
    async with connected(says=(LONG,)) as on:
        on.leg.respond()
        await on.ear.until(lambda: on.ear.sound)
        count = len(on.ear.events)
    assert len(on.ear.events) == count
    assert on.thinking.stopped == 1


async def test_a_key_press_cancels_the_answer_and_what_was_asked_for() -> None:
    async with connected(says=(LONG, "Quarante-deux.")) as on:
        on.leg.respond()
        on.leg.say("Jamais dit.")
        await on.ear.until(lambda: on.ear.sound)
        on.ear.clear(cancel=True)
        assert on.ear.of(ev.ResponseDone)[-1].status == "cancelled"
        on.leg.tell("[Touches du clavier : 4 2]", "user")
        on.leg.respond()
        await on.ear.until_done(2)
        assert on.ear.text.endswith("Quarante-deux.")
        assert "Jamais" not in on.ear.text
        assert on.thinking.asked[-1][-1].text == "[Touches du clavier : 4 2]"


async def test_a_result_that_comes_while_the_caller_speaks_waits_for_their_words() -> None:
    calls = [request("check_availability")]
    async with connected("Plutôt jeudi à dix heures.", says=(calls, "Jeudi, oui.")) as on:
        on.leg.respond()
        await on.ear.until_done()
        hear(on.leg, QUIET * 20 + SENTENCE, 100)
        on.leg.give_result("call_1", "{}", respond=True)
        await asyncio.sleep(0.05)
        assert len(on.thinking.asked) == 1
        hear(on.leg, b"", 200)
        await asyncio.sleep(0.05)
        hear(on.leg, b"", 1400)
        await on.ear.until(lambda: on.ear.text == "Jeudi, oui.")
        await asyncio.sleep(0.05)
        assert len(on.thinking.asked) == 2
        assert [each.role for each in on.thinking.asked[-1][-2:]] == ["function", "user"]


async def test_a_result_is_spoken_after_a_noise_that_was_no_word() -> None:
    calls = [request("check_availability")]
    async with connected("", says=(calls, "Il y a de la place.")) as on:
        on.leg.respond()
        await on.ear.until_done()
        hear(on.leg, QUIET * 20 + OUI, 100)
        on.leg.give_result("call_1", "{}", respond=True)
        hear(on.leg, b"", 300)
        await asyncio.sleep(0.05)
        hear(on.leg, b"", 1600)
        await on.ear.until(lambda: on.ear.text == "Il y a de la place.")


async def test_who_speaks_while_the_agent_thinks_is_heard_with_what_was_said_before() -> None:
    heard = ("Demain à quatorze heures.", "Avec ma fille.")
    async with connected(*heard, says=("Jamais dit du tout.", "Avec plaisir.")) as on:
        on.thinking.pace = 0.5
        hear(on.leg, QUIET * 20 + SENTENCE, 300)
        await asyncio.sleep(0.05)
        hear(on.leg, b"", 1200)
        await on.ear.until(lambda: on.ear.of(ev.CallerSaid))
        hear(on.leg, SENTENCE, 300)
        on.thinking.pace = 0.001
        await asyncio.sleep(0.05)
        hear(on.leg, b"", 1400)
        await on.ear.until(lambda: on.ear.text.endswith("Avec plaisir."))
        assert [each.text for each in on.thinking.asked[-1][1:]] == list(heard)
        assert "Jamais" not in on.ear.text


async def test_a_model_that_dies_in_the_middle_is_told_after_what_it_said() -> None:
    class Dying(Thinking):
        async def answer(self, messages, functions=()):  # type: ignore[no-untyped-def]
            async for piece in super().answer(messages, functions):
                yield piece
                if "assez" in getattr(piece, "text", ""):
                    raise FAILURE

    async with connected() as on:
        on.thinking.__class__ = Dying
        on.thinking.script = ["Oui, bien sûr. Voilà qui est assez long. Et la suite."]
        on.leg.respond()
        await on.ear.until_done()
        assert on.ear.of(ev.ResponseDone)[0].status == "failed"


async def test_of_a_sentence_that_breaks_off_the_words_that_were_said_are_told() -> None:
    async with connected(speaking=Speaking(ms=65, breaks_at="z")) as on:
        on.thinking.script = ["C'est noté. Il me reste une place à quatorze heures."]
        on.leg.respond()
        await on.ear.until_done()
        assert on.ear.of(ev.ResponseDone)[0].status == "failed"
        told = on.ear.of(ev.AgentText)[-1]
        assert (told.final, told.text) == (True, "C'est noté. Il me reste une place à quatorze")


async def test_a_voice_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.cascade_reply.FIRST_SOUND_SECONDS", 0.05)
    async with connected(speaking=Speaking(latency=30)) as on:
        on.leg.say("Bonjour à vous.")
        await on.ear.until_done()
        assert on.ear.of(ev.ResponseDone)[0].error == "tts_stalled"
        assert len(on.speaking.asked) == 2


async def test_ears_that_hang_are_the_end_of_the_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.cascade_leg.STT_SECONDS", 0.1)
    async with connected(30.0) as on:
        hear(on.leg, QUIET * 20 + SENTENCE, 1800)
        await on.ear.until(lambda: on.ear.of(ev.AgentGone))
        assert on.ear.of(ev.AgentFault)[0].code == "stt_timeout"


async def test_an_ear_that_fails_once_is_asked_again() -> None:
    async with connected(FAILURE, "Demain à quatorze heures.") as on:
        hear(on.leg, QUIET * 20 + SENTENCE, 1800)
        await on.ear.until_done()
        assert on.ear.text == "D'accord."


async def test_what_is_no_audio_is_passed_over() -> None:
    async with connected() as on:
        for payload in ("", "é", "%%%", "AA", '"}', "A" * 50_001):
            on.leg.hear(payload)
        on.leg.say("Bonjour à vous.")
        await on.ear.until_done()


async def test_a_bug_in_a_link_ends_the_leg_and_not_the_server() -> None:
    class Broken(Speaking):
        async def speak(self, text, voice):  # type: ignore[no-untyped-def]
            raise RuntimeError("a bug")
            yield b""

    async with connected(speaking=Broken()) as on:
        on.leg.say("Bonjour à vous.")
        await on.ear.until(lambda: on.ear.of(ev.AgentGone))


async def test_what_comes_before_the_bridge_is_kept() -> None:
    models = CascadeModels(Hearing([""]), Thinking(["Oui."]), Speaking(), VOICES)
    async with asyncio.TaskGroup() as tasks:
        leg = await CascadeConnector(models, tasks).connect(SPEC)
        leg.say("Bonjour à vous.")
        await asyncio.sleep(0.1)
        ear = Ear(leg)
        leg.listen(ear)
        assert ear.events[0] == ev.AgentReady()
        assert ear.text == "Bonjour à vous."
        assert ear.sound
        await leg.close()
    assert leg.name == "cascade:fake-llm"
