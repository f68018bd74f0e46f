"""The wire contract of each service as an OpenAPI 3.1 document derived from its interface, and the check of its
changes.

`docs/wire/<service>.json` is the current contract; `docs/wire/released/<service>.json` is that of the last release,
which older builds use. `python -m landcontracts.wire` writes the first, `--check` compares. No database and no settings
are needed.
"""
