"""Backup and restore of all databases and of the objects that rows name (docs/adr/0022-backups-at-one-instant.md).

`instant` takes the snapshots at one instant, `take` writes the backup, `restore` restores and `verify` compares it,
`repository` lists and removes backups.
"""
