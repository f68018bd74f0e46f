"""Describes the data that a service keeps outside its tables: objects in a bucket that its rows name by digest.

A service with such objects declares them in the topology (`Entry.objects`); a backup copies the objects that its rows
name.
"""

from __future__ import annotations

from typing import NamedTuple


class StoredObjects(NamedTuple):
    """`storage` is the alias in STORAGES. `query` gives a row (key, sha256 in hex, size in bytes, media type) per
    object.

    An object is stored before the row that names it is committed, never changes, and stays as long as its row.
    """

    storage: str
    query: str
