"""What we remember, always scoped to a tenant."""

from domain.clock import Clock
from storage.call_register import CallRegister
from storage.database import Database
from storage.journal import CallJournal
from storage.rows import TenantHandle
from storage.tenants import TenantDirectory

__all__ = ["OperatorStore", "Storage"]


class OperatorStore(TenantDirectory, CallRegister):
    """What isn't one tenant's: for the operator's commands and the verified webhooks alone."""


class Storage:
    """The three doors: the operator's, the journal's, and one per tenant."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.operator = OperatorStore(database, clock)
        self.journal = CallJournal(database, clock)

    def tenant(self, tenant_id: str) -> TenantHandle:
        """The tenant's rows, and nobody else's."""
        return TenantHandle(self._database, self._clock, tenant_id)
