"""`extraction documents run`: one service through all six phases, as far as nobody has to decide."""
