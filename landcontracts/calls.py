"""What each service asks of the others: written by `make blueprint`, held by `core/seam/server/callers.py`."""

CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "authentication": {},
    "documents": {
        "authentication": ("cards", "revoked_tokens"),
        "contracts": ("rights",),
        "signatures": ("for_documents",),
    },
    "signatures": {
        "authentication": ("cards", "get", "recipients", "revoked_tokens"),
        "contracts": ("rights",),
        "documents": ("download", "get"),
    },
    "contracts": {
        "authentication": ("cards", "revoked_tokens"),
    },
    "workflow": {
        "authentication": ("cards", "revoked_tokens"),
        "contracts": ("participants", "rights"),
    },
    "notifications": {
        "authentication": ("cards", "recipients", "revoked_tokens"),
        "contracts": ("participants",),
    },
    "datasync": {
        "authentication": ("cards", "revoked_tokens"),
    },
}
