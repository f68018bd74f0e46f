"""Verifies a running provider against pacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pact

from tests.pacts.servers import Signing, States, serving

REQUEST_TIMEOUT_MS = 20_000


class Finding(NamedTuple):
    """How many interactions were verified, and a message for each of the others."""

    verified: int
    broken: list[str]


def verify(provider: str, url: str, files: list[Path], states: States) -> Finding:
    """Verify the provider at an address against pacts."""
    signing_proxy = Signing(provider, url)
    with serving(signing_proxy) as proxy, serving(states) as state_change:
        verifier = pact.Verifier(provider, host="127.0.0.1").add_transport(url=proxy)
        verifier.state_handler(f"{state_change}/", body=True).set_request_timeout(REQUEST_TIMEOUT_MS)
        verifier.set_coloured_output(enabled=False)
        for file in files:
            verifier.add_source(file)
        try:
            verifier.verify()
        except RuntimeError:  # its message is empty; the details are in the results
            if not verifier.results["interactionResults"]:
                raise
        finally:
            signing_proxy.close()
    results = verifier.results["interactionResults"]
    broken = [_describe(result) for result in results if result["result"] != "OK"]
    return Finding(len(results) - len(broken), broken)


def _describe(result: dict[str, Any]) -> str:
    consumer = result.get("consumer", {})
    mismatch = result.get("mismatch", {})
    reasons = [f"{item.get('path', '')} {item['mismatch']}".strip() for item in mismatch.get("mismatches", [])]
    return f"{consumer} {result['description']}: {'; '.join(reasons) or mismatch}"
