"""OpenAI: the Realtime leg."""
