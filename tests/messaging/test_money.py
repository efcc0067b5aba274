"""The money cap, at the last look before a text is sent."""

from domain.sms import read_prices
from messaging.money import MoneyCap
from messaging.outbox import TextSending
from tests.messaging.test_sending import LEA, POLICY, Desk, desk

__all__ = ["desk"]


async def test_what_costs_too_much_is_not_sent_and_the_owner_is_told_once(desk: Desk) -> None:
    cap = MoneyCap(read_prices("EUR FR=0.08 *=0.2"), 250_000)
    vendors = dict.fromkeys(("sms", "email", "whatsapp"), desk.vendor)
    desk.sending = TextSending(desk.storage, desk.clock, vendors, POLICY, checks={"": [cap]})
    texts = [await desk.put("x" * 160) for _ in range(2)]
    long = await desk.put("x" * 161, purpose="service")  # two segments: 0.16
    answer = await desk.put("Oui, à 14h", purpose="answer")
    letter = await desk.put("Bonjour", channel="email", to="lea@example.org", subject="Bonjour")
    await desk.run()
    assert [(await desk.text(each)).status for each in (*texts, answer, letter)] == ["accepted"] * 4
    stopped = await desk.text(long)
    assert (stopped.status, stopped.code) == ("suppressed", "spend_cap")
    assert stopped.reason == (
        "Le plafond de dépenses du jour est atteint : le message n'est pas parti."
    )
    async with desk.storage.tenant(desk.tenant.id).read() as rows:
        assert await rows.spending.today() == 240_000  # the answer counts, and isn't stopped
    belgian = await desk.put("Bonjour", to="+32470000001")
    await desk.run()
    assert (await desk.text(belgian)).code == "spend_cap"
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        listed, _ = await rows.notifications.list()
        assert [each.kind for each in listed] == ["spend_cap"]
        await rows.spending.set_cap(1_000_000)
    later = await desk.put("Bonjour", to=LEA)
    await desk.run()
    assert (await desk.text(later)).status == "accepted"
    await desk.run(86_400)
    async with desk.storage.tenant(desk.tenant.id).read() as rows:
        assert await rows.spending.today() == 0
