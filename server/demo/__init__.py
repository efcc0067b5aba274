"""`coccinelle demo`: one call through the real server, seen live; the world outside is emulated."""
