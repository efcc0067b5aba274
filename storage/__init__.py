"""What we remember, always reached through a tenant-scoped handle."""
