"""The one table from service to implementation, and the only one with dotted paths.

`consumes` names the events that a service handles; a system check compares it with the service's handlers.
"""

from apps.core.topology import Entry

# Every service that answers over REST asks whose tokens were revoked.
EDGE = ("authentication.revoked_tokens",)

SERVICES: dict[str, Entry] = {
    "authentication": Entry(
        key="apps.authentication.interface.AUTHENTICATION",
        implementation="apps.authentication.service.Authentication",
        # Django's own tables about users, which refer to users or to each other.
        also=("auth", "contenttypes", "sessions", "admin"),
        tables=("authentication_", "auth_", "django_content_type", "django_session", "django_admin_log"),
        variables=("JWT_SIGNING_KEY", "REFRESH_TOKEN_SECRET"),
    ),
    "documents": Entry(
        key="apps.documents.interface.DOCUMENTS",
        implementation="apps.documents.service.Documents",
        objects="apps.documents.gateways.stored_objects.OBJECTS",
        as_system=(*EDGE, "contracts.rights"),
        variables=("S3_SECRET_KEY",),
    ),
    "signatures": Entry(
        key="apps.signatures.interface.SIGNATURES",
        implementation="apps.signatures.service.Signatures",
        as_system=(*EDGE, "authentication.recipients", "contracts.rights"),
    ),
    "contracts": Entry(
        key="apps.contracts.interface.CONTRACTS",
        implementation="apps.contracts.service.Contracts",
        consumes=(
            "documents.document_stored",
            "signatures.signature_accepted",
            "workflow.stage_started",
            "workflow.completed",
        ),
        as_system=EDGE,
    ),
    "workflow": Entry(
        key="apps.workflow.interface.WORKFLOW",
        implementation="apps.workflow.service.Workflows",
        consumes=("contracts.contract_created", "contracts.status_changed", "documents.document_stored"),
        as_system=(*EDGE, "contracts.participants", "contracts.rights"),
    ),
    "notifications": Entry(
        key="apps.notifications.interface.NOTIFICATIONS",
        implementation="apps.notifications.service.Notifications",
        consumes=(
            "contracts.contract_created",
            "contracts.status_changed",
            "documents.document_stored",
            "signatures.signature_accepted",
            "signatures.signature_refused",
            "workflow.stage_started",
            "workflow.stage_overdue",
        ),
        as_system=(*EDGE, "contracts.participants", "authentication.recipients"),
        variables=("EMAIL_URL",),
    ),
    "datasync": Entry(
        key="apps.datasync.interface.DATASYNC",
        implementation="apps.datasync.service.Datasync",
        variables=("CONTROL_URLS", "REPLICATION_URLS"),
        as_system=EDGE,
        copies=True,
    ),
}

# The services whose data may get a database of their own.
MOVABLE = tuple(service for service, entry in SERVICES.items() if not entry.copies)
