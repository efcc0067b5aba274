"""µ-law telephone audio: sizes only, since nothing is transcoded on the realtime path.

Twilio and OpenAI's `audio/pcmu` speak the same G.711 µ-law at 8,000 samples a second, one byte a
sample (shared/reference/twilio.md §3.2, vapi-openai-pinecone.md §2.11).
"""

BYTES_PER_MS = 8
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS


def base64_size(encoded: str) -> int:
    """Bytes of audio in a base64 text, without decoding it."""
    return len(encoded) // 4 * 3 - encoded.count("=", -2)
