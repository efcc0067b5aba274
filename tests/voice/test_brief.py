"""What a tenant may choose of its realtime agent: what can't be is the default."""

import pytest

from tests.voice.functions.shop import MONDAY
from tests.voice.test_taking_over import DEFAULTS, GARAGE
from voice.agent import Earlier, Moment, brief
from voice.functions.runner import FunctionRunner


@pytest.mark.parametrize(
    ("wanted", "model"),
    [
        ("gpt-realtime-2.1", "gpt-realtime-2.1"),
        ("openai/gpt-realtime:free", "openai/gpt-realtime:free"),
        ("", DEFAULTS.model),
        (None, DEFAULTS.model),
        (4, DEFAULTS.model),
        ({"name": "m"}, DEFAULTS.model),
        ("gpt realtime\r\n", DEFAULTS.model),
        ("é", DEFAULTS.model),
        ("m" * 101, DEFAULTS.model),
    ],
)
def test_the_model(wanted: object, model: str) -> None:
    spec = brief(
        GARAGE,
        {"realtime": {"model": wanted}},
        DEFAULTS,
        functions=FunctionRunner().specs,
        moment=Moment(MONDAY, None, has_knowledge=False),
        earlier=Earlier(),
    )
    assert spec.model == model
