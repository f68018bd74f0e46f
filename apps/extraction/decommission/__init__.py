"""The end of a migration: a checklist with evidence, overrides by two people, and the dropping of the old tables."""
