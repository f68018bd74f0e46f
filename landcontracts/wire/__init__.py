"""What each service says on the wire, as OpenAPI 3.1 documents derived from its interface, and what may not change in them.

`docs/wire/<service>.json` is the current contract; `docs/wire/released/<service>.json` is that of the last release, which older
builds hold. `python -m landcontracts.wire` writes the first, `--check` compares. No database and no settings are needed.
"""
