"""`python -m tests.pacts`: play the uses and write the pact files. `make pacts` starts what that needs."""

import logging
import warnings

import django
from django.test.utils import setup_test_environment


def main() -> None:
    """Record and write."""
    django.setup()
    setup_test_environment()  # the test client's host is allowed, as under pytest
    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # refusals are among the uses
    warnings.filterwarnings("ignore", "No directory at:", UserWarning)  # no page's style is checked
    from tests.pacts import files, uses

    pacts = files.generate(uses.record())
    files.write(pacts)
    print(f"{len(pacts)} pacts are in {files.FOLDER.relative_to(files.FOLDER.parents[2])}")


if __name__ == "__main__":
    main()
