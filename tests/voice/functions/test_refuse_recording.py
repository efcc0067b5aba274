"""refuse_recording: nothing is recorded any more, and nothing afterwards."""

from tests.voice.functions.shop import Shop, both_databases


@both_databases
async def test_who_refuses_isnt_recorded(shop: Shop) -> None:
    context = await shop.call()
    assert context.call_id is not None
    async with context.storage.write() as rows:
        assert await rows.recordings.announced(context.call_id)
    finished = await shop.run("refuse_recording", {}, context)
    assert finished.result["status"] == "refused"
    assert "effacé" in str(finished.result["spoken"])
    assert finished.effect is None
    async with context.storage.write() as rows:
        recording = await rows.recordings.of_call(context.call_id)
        assert recording is not None
        assert recording.state == "refused"
        assert not await rows.recordings.announced(context.call_id)
        assert not await rows.recordings.claim(recording.id)


async def test_who_refuses_where_nothing_is_recorded_is_told_so_too(shop: Shop) -> None:
    result = await shop.answer("refuse_recording", {}, await shop.call())
    assert result["status"] == "refused"
