"""The end of a migration: a checklist whose items are checked with evidence, overrides by two people, and the old tables dropped."""
