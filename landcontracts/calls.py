"""What each service asks of the others: written by `make blueprint`, held by `core/seam/server/callers.py`."""

CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "authentication": {},
    "documents": {
        "authentication": ("cards",),
        "contracts": ("rights",),
        "signatures": ("for_documents",),
    },
    "signatures": {
        "authentication": ("cards", "get", "recipients"),
        "contracts": ("rights",),
        "documents": ("download", "get"),
    },
    "contracts": {
        "authentication": ("cards",),
    },
    "workflow": {
        "authentication": ("cards",),
        "contracts": ("participants", "rights"),
    },
    "notifications": {
        "authentication": ("cards", "recipients"),
        "contracts": ("participants",),
    },
    "datasync": {
        "authentication": ("cards",),
    },
}
