"""What each service really asks of another, written down as pacts and held against the one that answers. See README.md."""

import os

# The library counts its users over the network unless it is told not to; no other word than "true" tells it.
os.environ["PACT_DO_NOT_TRACK"] = "true"
