"""Makes the repository importable from the tests, and offers them a real PostgreSQL."""

pytest_plugins = ["tests.postgres"]
