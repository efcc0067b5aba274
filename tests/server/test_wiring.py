"""What is introduced to whom."""

import asyncio
from pathlib import Path

from server import wiring
from server.clock import SystemClock
from server.metrics import Metrics
from storage.database import Database
from tests.running import ADMIN, TOKEN, settings


async def test_no_part_shows_a_secret_when_it_is_printed(tmp_path: Path) -> None:
    """Tracebacks and debug lines print objects whole."""
    vapi, openai = "vapi-secret-vapi-secret", "sk-proj-of-the-operator"
    config = settings(tmp_path, vapi_webhook_secret=vapi, openai_api_key=openai)
    database = await Database.open(config.database_url.get_secret_value())
    try:
        async with asyncio.TaskGroup() as tasks, wiring.twilio_account(config) as account:
            control = wiring.TwilioCallControl(account)
            parts = wiring.build(config, database, SystemClock(), Metrics(), control, tasks)
            shown = f"{parts!r}{wiring.api_settings(config)!r}{config!r}{account!r}{control!r}"
    finally:
        await database.close()
    assert "Openings(" in shown
    for secret in (TOKEN, ADMIN, vapi, openai):
        assert secret not in shown
