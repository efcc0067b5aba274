"""Twilio: REST and webhook signatures."""
