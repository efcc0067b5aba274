"""Calendars: the feeds in which a tenant's appointments are read, and others' busy times."""

from storage.calendars.external import (
    Calendars,
    ExternalCalendar,
    Source,
    Success,
)
from storage.calendars.feeds import Feed, FeedRegister
from storage.calendars.spans import TRUSTED_FOR

__all__ = [
    "TRUSTED_FOR",
    "Calendars",
    "ExternalCalendar",
    "Feed",
    "FeedRegister",
    "Source",
    "Success",
]
