"""What was said, and what of it was heard."""

from voice.heard_turns import HeardTurns

OURS = "announcement-1"


def turns() -> HeardTurns:
    return HeardTurns("Je suis une IA.", 0, answered=False)


def says(record: HeardTurns, item_id: str, text: str) -> None:
    record.words(item_id, text, final=False, now=1.0)
    record.sound(item_id, 2.0)


def test_words_without_sound_are_no_turn_and_are_forgotten_at_last() -> None:
    record = turns()
    for number in range(100):
        record.words(f"i{number}", "mot", final=False, now=1.0)
    assert not record.heard((("i0", 900.0),)), "too long ago"
    assert record.heard((("i99", 900.0),))
    assert not record.heard((("i99", 900.0),)), "once"
    assert not record.cut((("i98", 0.0, 900.0),), responding=False, leaving=False)


def test_a_response_that_broke_off_cuts_its_own_items_alone() -> None:
    record = turns()
    record.begin_response()
    says(record, "i1", "Un deux")
    record.begin_response()
    says(record, "i2", "trois quatre")
    says(record, OURS, "Un instant.")
    record.break_off()
    heard = record.heard((("i1", 500.0), ("i2", 500.0), (OURS, 500.0)))
    assert [(each.text, each.cut, each.announced) for each in heard] == [
        ("Un deux", False, False),
        ("trois quatre", True, False),
        ("Un instant.", False, True),
    ]


def test_only_the_response_that_goes_on_is_cut_where_all_of_it_was_heard() -> None:
    record = turns()
    record.begin_response()
    says(record, "i1", "Un deux")
    record.begin_response()
    says(record, "i2", "trois quatre")
    items = (("i1", 500.0, 500.0), ("i2", 500.0, 500.0))
    heard = record.cut(items, responding=True, leaving=False)
    assert [each.cut for each in heard] == [False, True]


def test_who_was_answered_to_the_end_is_informed_until_they_speak_again() -> None:
    record = turns()
    record.caller_speaks()
    record.caller_said("Vous êtes ouverts ?")
    assert not record.informed
    says(record, OURS, "Un instant.")
    record.heard(((OURS, 500.0),))
    assert not record.informed, "our own line answers nothing"
    says(record, "i1", "Oui.")
    record.heard((("i1", 500.0),))
    assert record.informed
    record.caller_speaks()
    assert not record.informed
    record.caller_said("Merci, au revoir")
    assert record.informed, "they have taken leave"


def test_an_answer_is_not_taken_back_by_our_own_leaving() -> None:
    record = turns()
    record.caller_said("Vous êtes ouverts ?")
    says(record, "i1", "Oui.")
    record.heard((("i1", 500.0),))
    says(record, "i2", "Au revoir.")
    record.cut((("i2", 100.0, 500.0),), responding=False, leaving=True)
    assert record.informed
    says(record, "i3", "Et donc")
    record.cut((("i3", 100.0, 500.0),), responding=False, leaving=False)
    assert not record.informed
