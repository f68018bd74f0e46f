"""Records what each service really asks of another as pacts, and verifies the providers against them. See README.md."""

import os

# The library reports its use over the network unless this variable is exactly "true".
os.environ["PACT_DO_NOT_TRACK"] = "true"
