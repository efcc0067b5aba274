"""What tables are made of: the metadata with its names, and the usual columns."""

import sqlalchemy as sa

from storage.columns import CleanText, Instant, Json

#: Names are given, not generated, so that a later migration can alter what it names.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def identifier() -> sa.Column[str]:
    return sa.Column("id", CleanText, primary_key=True)


def tenant(*, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "tenant_id",
        CleanText,
        sa.ForeignKey("tenants.id", ondelete="CASCADE"),
        nullable=nullable,
        primary_key=primary_key,
    )


def text(name: str, default: str | None = None) -> sa.Column[str]:
    """NOT NULL when it has a default, otherwise nullable."""
    return sa.Column(name, CleanText, nullable=default is None, server_default=default)


def words(name: str) -> sa.Column[str]:
    """Text that must be given."""
    return sa.Column(name, CleanText, nullable=False)


def flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def json(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, Json, nullable=False, server_default=default)


def instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, Instant, nullable=nullable)


def created() -> sa.Column[object]:
    return instant("created_at", nullable=False)


def updated() -> sa.Column[object]:
    return instant("updated_at", nullable=False)


def partial(label: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """An index over the rows that `where` selects; `label` makes its name unique."""
    condition = sa.text(where)
    return sa.Index(
        f"ix_{label}", *columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )
