"""Backup and restore of every database and of the objects that rows name, at one instant (docs/adr/0022-backups-at-one-instant.md).

`instant` takes it, `take` writes, `restore` brings back, `verify` compares, `repository` knows which backups there are.
"""
