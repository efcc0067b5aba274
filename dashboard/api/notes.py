"""Writes the audit log's line of a request whose handler has written nothing of the tenant's."""

from storage import Storage


class Notes:
    """For `dashboard.api.operations`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def note(self, tenant_id: str) -> None:
        """The line of what is under way (`storage.audit`). Raises OperatorError."""
        async with self._storage.tenant(tenant_id).write():
            pass  # the end of the transaction writes it
