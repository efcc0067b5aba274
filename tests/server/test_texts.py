"""The senders of one deployment, from its settings, each against its vendor."""

from dataclasses import replace
from pathlib import Path

import pytest

from messaging.ports import ChannelPaused, Credentials, OutgoingText
from providers.guarded import GuardedDoor
from sandbox.cloud_api import Account, Person
from sandbox.meta import MetaEmulator
from sandbox.smtp import SmtpEmulator
from sandbox.twilio import TwilioEmulator
from server.settings import Settings
from server.texts import SmsAsker, text_vendors
from storage import Database, Storage
from tests.fakes.clock import FakeClock

SID, OURS, DEDICATED = "AC" + "1" * 32, "+33757000001", "+33757000002"
USER = "salon@example.fr"


async def test_each_channel_has_its_sender(tmp_path: Path) -> None:
    clock = FakeClock()
    database = await Database.open(f"sqlite:///{tmp_path}/texts.sqlite3")
    storage = Storage(database, clock)
    meta = MetaEmulator({"EAAG": frozenset({"106540352242922"})})
    meta.add(Account("106540352242922", "1022", "+33155550100"))
    meta.api.people.append(Person("+33612345678", "FR.1", wrote_at=meta.now()))
    async with (
        TwilioEmulator(account_sid=SID, auth_tokens=["t"], numbers=[OURS, DEDICATED]) as twilio,
        SmtpEmulator({USER: "password"}) as mail,
        meta.running() as graph,
    ):
        settings = Settings.of(
            twilio_account_sid=SID,
            twilio_auth_token="t",
            twilio_sms_from=OURS,
            twilio_api_base_url=twilio.url,
            whatsapp_base_url=graph,
            public_url="https://voice.example.fr",
        )
        guard = GuardedDoor(["127.0.0.0/8"])
        async with text_vendors(settings, storage, clock, guard=guard, trust=mail.trust) as vendors:
            server = {"host": "127.0.0.1", "port": mail.port, "user": USER, "fromEmail": USER}
            given = {
                "sms": Credentials(),
                "email": Credentials({"smtp": server}, {"smtp.password": "password"}),
                "whatsapp": Credentials(
                    {}, {"accessToken": "EAAG", "phoneNumberId": "106540352242922"}
                ),
            }
            assert vendors.senders.keys() == given.keys()
            for channel, credentials in given.items():
                to = "lea@client.example" if channel == "email" else "+33612345678"
                text = OutgoingText("c" * 32, "salon", channel, to, "Bonjour", subject="RDV")
                assert vendors.senders[channel].usable(credentials)
                accepted = await vendors.senders[channel].send(text, credentials)
                assert accepted.vendor_id
            (sms,) = twilio.messages.values()
            assert sms.status_callback == (
                f"https://voice.example.fr/webhooks/twilio/status?text={'c' * 32}"
            )
            assert mail.inbox[0].message["Date"].datetime == clock.now()
            assert any(line.text == "EHLO voice.example.fr" for line in mail.said)
            assert vendors.hub is None

            # A number of our own asks; a dedicated one sends for its tenant alone.
            await SmsAsker(vendors.sms).ask("d" * 32, "+33612345678", OURS, "Qui ?")
            tenants = [await storage.operator.create_tenant(name) for name in ("Salon", "Garage")]
            await storage.operator.add_number(tenants[0].id, DEDICATED)
            own = Credentials({"sender": DEDICATED})
            text = OutgoingText("e" * 32, tenants[0].id, "sms", "+33612345678", "Bonjour")
            assert (await vendors.sms.send(text, own)).sender == DEDICATED
            with pytest.raises(ChannelPaused):
                await vendors.sms.send(replace(text, tenant_id=tenants[1].id), own)
            assert len(twilio.messages) == 3
    await database.close()
