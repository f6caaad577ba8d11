"""What the console keeps: applications it has seen, what happened to them, jobs, tokens and the audit.

History is what was recorded, never inferred later. Rows about engines are written by ``observe`` only, job rows by
``jobs`` only, alerts by ``alerts`` only, audit rows by ``access.audit`` only; pages and the API read. Times are timezone-aware; offsets are Kafka's.
"""

from console.models.access import ApiToken, AuditEntry
from console.models.alerts import Alert, AlertDelivery, AlertRule
from console.models.applications import (
    Application,
    Event,
    Instance,
    LagSample,
    Observed,
    Ownership,
    Restore,
    StoreSample,
)
from console.models.jobs import Difference, Job, Schedule, Snapshot
from console.models.names import NAME_LENGTH

__all__ = [
    "NAME_LENGTH",
    "Alert",
    "AlertDelivery",
    "AlertRule",
    "ApiToken",
    "Application",
    "AuditEntry",
    "Difference",
    "Event",
    "Instance",
    "Job",
    "LagSample",
    "Observed",
    "Ownership",
    "Restore",
    "Schedule",
    "Snapshot",
    "StoreSample",
]
