"""A text conversation: SMS, email, WhatsApp."""
