"""OpenAI: the Realtime leg; and models behind any server that speaks OpenAI's HTTP API."""
