"""Sizes of µ-law audio."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from voice.audio import base64_size


@given(st.binary(max_size=400))
def test_the_size_is_that_of_what_would_be_decoded(audio: bytes) -> None:
    assert base64_size(base64.b64encode(audio).decode()) == len(audio)
