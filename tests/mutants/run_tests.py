"""`python -m tests.mutants.run_tests APP`: the narrow tests of a target against the code in this tree. The exit status is pytest's.

Only in this process: a server would answer with the code as it was, and a fake has code of its own.
"""

from __future__ import annotations

import sys

import pytest

from tests.mutants.targets import TARGETS

ARGUMENTS = ("-x", "-q", "--no-header", "--timeout=60", "-k", "not http and not fake", "-m", "not slow")

if __name__ == "__main__":
    sys.exit(pytest.main([*ARGUMENTS, *TARGETS[sys.argv[1]].tests]))
