"""A call that Vapi serves from the greeting to the booked appointment, functions included."""

from pathlib import Path

import pytest

from tests.scenarios.conftest import deployed
from tests.scenarios.test_vapi_calls import KEY, SECRET, _provisioned

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]


async def test_an_appointment_is_booked_through_vapi(tmp_path: Path) -> None:
    async with deployed(tmp_path, vapi_key=KEY, VAPI_WEBHOOK_SECRET=SECRET) as it:
        garage = await it.tenant("automobile", "appointment")
        await _provisioned(it, garage)
        report = await it.world.call("appointment", line=garage.line)
        call = await garage.the_call()
        (appointment,) = (await garage.get("/api/v1/appointments"))["appointments"]
    assert report.model is not None
    assert report.model["sessions"] == [], "no other agent"
    (vapi,) = report.model["vapi"]
    assert call["agent"].startswith("vapi:")
    assert call["outcome"] == "booked"
    names = [each["name"] for each in call["functions"] if each["name"] != "end_call"]
    assert names == ["check_availability", "check_availability", "book_appointment"]
    assert {each["shape"] for each in vapi["functions"][:3]} == {
        "schema",
        "arguments",
        "observed",
    }
    assert all(len(each["outputs"]) == 1 for each in vapi["functions"][:3])
    assert vapi["errors"] == []
    assert vapi["script_defects"] == []
    assert {status for _, status in vapi["posted"]} == {200}
    assert any(each["interrupted"] for each in vapi["said"])
    assert "Marc Durand" in appointment.values()
    (barge_in,) = [each for each in report.barge_ins if each.latency_ms is not None]
    assert barge_in.latency_ms is not None
    assert barge_in.latency_ms < 600
