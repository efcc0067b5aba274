"""What Alembic runs: applies scripts on the connection that `storage.migrations` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # Ours begins SQLite transactions itself, and SQLite's DDL is transactional then: a migration
    # that fails half-way leaves nothing behind.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
