"""What a page sends over what is stored."""

from dashboard.api.channel_saving import merged


def test_merging_goes_one_level_into_the_agent_and_no_deeper() -> None:
    before = {"sara": {"voice": "male", "scripts": {"a": 1, "b": 2}}, "x": {"y": 1}}
    sent = {"sara": {"scripts": {"a": 3}}, "x": {"z": 1}, "n": None}
    assert merged(before, sent) == {
        "sara": {"voice": "male", "scripts": {"a": 3}},
        "x": {"z": 1},
        "n": None,
    }
    assert merged(before, {"sara": None})["sara"] is None
    assert merged({"sara": "text"}, sent)["sara"] == sent["sara"]


def test_and_into_what_other_pages_send_in_parts() -> None:
    before = {"smtp": {"host": "h", "later": 1}, "templates": {"a": True, "b": True}}
    assert merged(before, {"smtp": {"host": "i"}, "templates": {"a": False}}) == {
        "smtp": {"host": "i", "later": 1},
        "templates": {"a": False, "b": True},
    }
