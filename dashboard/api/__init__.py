"""The REST endpoints, one file per noun.

`routes(storage, settings, clock)` is all that the server mounts.
"""

from dashboard.api.router import routes
from dashboard.api.settings import ApiSettings

__all__ = ["ApiSettings", "routes"]
