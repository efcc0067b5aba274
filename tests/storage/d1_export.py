"""Exports as the earlier service would give them: its schema, its rows, its traps.

From `database/migration-channels-communication.sql` as real-users.md §2.1 tells it.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE tenants (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, company_name TEXT, sector TEXT,
  timezone TEXT DEFAULT 'Europe/Paris', status TEXT DEFAULT 'active');
CREATE TABLE channel_configurations (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL,
  channel_type TEXT NOT NULL CHECK (channel_type IN ('phone', 'sms', 'email', 'whatsapp')),
  enabled INTEGER DEFAULT 0, configured INTEGER DEFAULT 0, config_encrypted TEXT,
  config_public TEXT DEFAULT '{}', templates TEXT DEFAULT '{}', assistant_id TEXT,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP,
  UNIQUE (tenant_id, channel_type));
CREATE TABLE channel_messages_log (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL,
  channel_type TEXT NOT NULL CHECK (channel_type IN ('phone', 'sms', 'email', 'whatsapp')),
  to_address TEXT NOT NULL, template_name TEXT, subject TEXT, content TEXT,
  template_variables TEXT DEFAULT '{}', status TEXT NOT NULL DEFAULT 'pending',
  external_message_id TEXT, error_message TEXT, error_code TEXT, provider TEXT,
  cost_cents INTEGER, duration_seconds INTEGER, sent_at DATETIME, delivered_at DATETIME,
  read_at DATETIME, failed_at DATETIME, created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE rendez_vous (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, customer_name TEXT NOT NULL,
  customer_phone TEXT, customer_email TEXT, rdv_date DATE NOT NULL, rdv_time TIME NOT NULL,
  rdv_type TEXT, rdv_duration_minutes INTEGER DEFAULT 60, rdv_location TEXT,
  status TEXT DEFAULT 'confirmed', notes TEXT, internal_notes TEXT,
  reminder_24h_sent INTEGER DEFAULT 0, reminder_1h_sent INTEGER DEFAULT 0,
  confirmation_sent INTEGER DEFAULT 0, call_id TEXT, created_by TEXT DEFAULT 'sara',
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP,
  cancelled_at DATETIME, completed_at DATETIME);
CREATE TABLE qualified_prospects (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, name TEXT NOT NULL, phone TEXT, email TEXT,
  source TEXT, interest_type TEXT, budget_min INTEGER, budget_max INTEGER,
  location_preference TEXT, property_type TEXT, qualification_score INTEGER DEFAULT 0,
  qualification_status TEXT DEFAULT 'new', notes TEXT, qualification_notes TEXT, call_id TEXT,
  created_by TEXT DEFAULT 'sara', last_contact_at DATETIME, next_follow_up_at DATETIME,
  converted_to_client INTEGER DEFAULT 0, converted_at DATETIME,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE tickets (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, customer_name TEXT NOT NULL, customer_phone TEXT,
  customer_email TEXT, subject TEXT NOT NULL, description TEXT, category TEXT,
  priority TEXT DEFAULT 'medium', status TEXT DEFAULT 'open', assigned_to TEXT,
  assigned_at DATETIME, resolution_notes TEXT, resolved_at DATETIME, closed_at DATETIME,
  call_id TEXT, created_by TEXT DEFAULT 'sara',
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE call_logs (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, call_sid TEXT, assistant_id TEXT,
  from_number TEXT NOT NULL, to_number TEXT NOT NULL, forwarded_from TEXT,
  direction TEXT CHECK (direction IN ('inbound', 'outbound')), call_status TEXT,
  duration_seconds INTEGER, cost_cents INTEGER, recording_url TEXT, transcript TEXT, summary TEXT,
  sentiment TEXT, actions_performed TEXT DEFAULT '[]', rdv_created INTEGER DEFAULT 0,
  qualified_prospect_created INTEGER DEFAULT 0, ticket_created INTEGER DEFAULT 0,
  started_at DATETIME, ended_at DATETIME, created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX idx_calls_tenant ON call_logs (tenant_id);
CREATE TRIGGER update_channel_timestamp AFTER UPDATE ON channel_configurations
BEGIN
  UPDATE channel_configurations SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
  SELECT 1;
END;
CREATE VIEW recent AS SELECT * FROM call_logs;
"""

GARAGE, AGENCY = "tenant_garage_01", "tenant_agence_02"
#: What everybody's rows have. CURRENT_TIMESTAMP writes UTC without saying so.
AT = {"created_at": "2026-03-02 08:15:00"}

CALL = {
    **AT,
    "id": "call_1",
    "tenant_id": GARAGE,
    "call_sid": "CA" + "a" * 32,
    "from_number": "06 39 98 12 34",
    "to_number": "+33 9 39 00 00 01",
    "forwarded_from": "02 61 91 00 01",
    "direction": "inbound",
    "call_status": "completed",
    "duration_seconds": 92,
    "transcript": "Bonjour, c'est l'hiver…\nJe voudrais une vidange; mardi.",
    "actions_performed": '["rdv"]',
    "rdv_created": 1,
    "started_at": "2026-03-02 08:13:28",
    "ended_at": "2026-03-02 08:15:00",
}
APPOINTMENT = {
    **AT,
    "id": "rdv_1",
    "tenant_id": GARAGE,
    "customer_name": "Marc Durand",
    "customer_phone": "06 39 98 12 34",
    "rdv_date": "2026-12-01",
    "rdv_time": "14:30:00",
    "rdv_type": "vidange",
    "call_id": "call_1",
}
PROSPECT = {
    **AT,
    "id": "prospect_1",
    "tenant_id": AGENCY,
    "name": "Hélène Berger",
    "phone": "Non spécifié",
    "source": "phone",
    "budget_max": 300000,
}
TICKET = {
    **AT,
    "id": "ticket_1",
    "tenant_id": GARAGE,
    "customer_name": "Sylvie",
    "customer_phone": "+33639981111",
    "subject": "Rappel",
}
MESSAGE = {
    **AT,
    "id": "msg_1",
    "tenant_id": GARAGE,
    "channel_type": "sms",
    "to_address": "06.39.98.12.34",
    "content": "Votre rendez-vous…",
    "status": "delivered",
    "provider": "twilio",
}
PHONE = {
    **AT,
    "id": "chan_1",
    "tenant_id": GARAGE,
    "channel_type": "phone",
    "enabled": 1,
    "configured": 1,
    "config_encrypted": "",
    "config_public": json.dumps(
        {"clientPhoneNumber": "02 61 91 00 01", "sara": {"assistantName": "Sara"}}
    ),
}
TENANTS = [
    {"id": GARAGE, "name": "Paul", "company_name": "Garage du Port", "sector": "garage"},
    {
        "id": AGENCY,
        "name": "Agence Créole",
        "sector": "immobilier",
        "timezone": "America/Martinique",
    },
]

Tables = dict[str, list[dict[str, Any]]]


def whole() -> Tables:
    """One good row in each table."""
    return {
        "tenants": [dict(each) for each in TENANTS],
        "channel_configurations": [dict(PHONE)],
        "call_logs": [dict(CALL)],
        "rendez_vous": [dict(APPOINTMENT)],
        "qualified_prospects": [dict(PROSPECT)],
        "tickets": [dict(TICKET)],
        "channel_messages_log": [dict(MESSAGE)],
    }


def database(path: Path, tables: Tables, *more: str) -> Path:
    """A SQLite file; `more` statements spoil it."""
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for table, rows in tables.items():
        for row in rows:
            columns = ", ".join(f'"{column}"' for column in row)
            marks = ", ".join("?" * len(row))
            statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
            connection.execute(statement, list(row.values()))
    for statement in more:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def dump(path: Path, tables: Tables, *more: str) -> Path:
    """The same as SQL, as `wrangler d1 export` writes it."""
    source = database(path.with_suffix(".source"), tables)
    connection = sqlite3.connect(source)
    lines = ["PRAGMA defer_foreign_keys=TRUE;", *list(connection.iterdump())[1:-1], *more]
    connection.close()
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
