"""Appointments (`rendez_vous`), guarded against double booking by the database.

`rows.appointments` keeps the guard whatever is asked; `rows.bookings` asks the agenda first, and
has alternatives for who comes too late. Use the second wherever somebody wants an appointment.
"""

from storage.appointments.booking import Appointments
from storage.appointments.cells import CELL_SECONDS, cells_of
from storage.appointments.codes import plain_code, shown_code
from storage.appointments.records import (
    MAX_MINUTES,
    Appointment,
    Change,
    HistoryEntry,
    HoldExpired,
    NewAppointment,
    Taken,
)
from storage.appointments.writing import CHANGED_JOB

__all__ = [
    "CELL_SECONDS",
    "CHANGED_JOB",
    "MAX_MINUTES",
    "Appointment",
    "Appointments",
    "Change",
    "HistoryEntry",
    "HoldExpired",
    "NewAppointment",
    "Taken",
    "cells_of",
    "plain_code",
    "shown_code",
]
