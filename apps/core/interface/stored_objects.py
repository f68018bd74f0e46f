"""What a service keeps outside of its tables: objects in a bucket that its rows name, each by its digest.

A service that keeps some says so in the topology (`Entry.objects`); a backup copies what its rows name, and knows nothing else of it.
"""

from __future__ import annotations

from typing import NamedTuple


class StoredObjects(NamedTuple):
    """`storage` is the alias in STORAGES. `query` gives a row (key, sha256 in hex, size in bytes, media type) for each object.

    Objects are put before the row that names them is committed, never change, and stay as long as their row does.
    """

    storage: str
    query: str
