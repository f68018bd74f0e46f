"""What one page has to show to lead a migration: the board, the curves, the chronicle, the choices, the report."""
