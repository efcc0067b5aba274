"""A tenant's knowledge: documents, read, split, stored and searched."""
