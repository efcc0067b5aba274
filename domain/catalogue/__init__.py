"""What people hear, one module per language; the same keys and fields in each."""
