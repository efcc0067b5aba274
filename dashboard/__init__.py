"""The owner looks and configures."""
