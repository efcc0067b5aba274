"""µ-law telephone audio: its sizes and its loudness. Nothing is transcoded on the realtime path.

Twilio and OpenAI's `audio/pcmu` speak the same G.711 µ-law at 8,000 samples a second, one byte a
sample (shared/reference/twilio.md §3.2, vapi-openai-pinecone.md §2.11).
"""

import warnings

with warnings.catch_warnings():
    # Gone from Python 3.13 on, where audioop-lts takes its place under the same name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

BYTES_PER_MS = 8
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS


def base64_size(encoded: str) -> int:
    """Bytes of audio in a base64 text, without decoding it."""
    return len(encoded) // 4 * 3 - encoded.count("=", -2)


def loudness(mulaw: bytes) -> int:
    """The root mean square of its samples, 0 to 32767."""
    return audioop.rms(audioop.ulaw2lin(mulaw, 2), 2)
