"""The content of the migration dashboard: board, curves, chronicle, choices, report."""
