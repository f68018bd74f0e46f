"""Backup and restore of every database and of the objects that rows name, at one instant (docs/adr/0022-backups-at-one-instant.md).

`cut` takes the instant, `taking` writes, `restoring` brings back, `comparing` says whether it is the same, `shelf` knows which there are.
"""
