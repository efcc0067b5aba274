"""Vapi: its REST API, and the agent that speaks through its websocket transport."""
