"""What is introduced to whom."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

from server import accounts, wiring
from server.clock import SystemClock
from server.key_ring import key_ring
from server.metrics import Metrics
from storage.database import Database
from tests.running import ADMIN, TOKEN, settings


async def test_no_part_shows_a_secret_when_it_is_printed(tmp_path: Path) -> None:
    """Tracebacks and debug lines print objects whole."""
    vapi, openai = "vapi-secret-vapi-secret", "sk-proj-of-the-operator"
    key = secrets.token_hex(32)
    config = settings(
        tmp_path, vapi_webhook_secret=vapi, openai_api_key=openai, encryption_keys=f"1:{key}"
    )
    database = await Database.open(config.database_url.get_secret_value())
    try:
        async with asyncio.TaskGroup() as tasks, accounts.twilio_account(config) as account:
            control = wiring.TwilioCallControl(account)
            parts = wiring.build(
                config, database, SystemClock(), Metrics(), wiring.Vendors(control), tasks
            )
            ring = key_ring(config)
            shown = f"{parts!r}{ring!r}{parts.storage.tenant('t')!r}"
            shown += f"{wiring.api_settings(config)!r}{config!r}{account!r}{control!r}"
    finally:
        await database.close()
    assert "Openings(" in shown
    for secret in (TOKEN, ADMIN, vapi, openai, key, str(bytes.fromhex(key))):
        assert secret not in shown


def test_sms_have_a_sender_when_there_is_an_account_and_one_to_send_as(tmp_path: Path) -> None:
    def ready(**values: Any) -> bool:
        return wiring.api_settings(settings(tmp_path, **values)).sms_sender

    assert not ready()
    assert ready(twilio_sms_from="Coccinelle")
    assert ready(twilio_messaging_service_sid="MG" + "0" * 32)
    assert not ready(twilio_sms_from="Coccinelle", twilio_auth_token="")
