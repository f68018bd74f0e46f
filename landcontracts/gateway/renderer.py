"""Renders a configuration file: the same bytes for the same deployment, with a header that names the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from landcontracts.blueprint import BASE
from landcontracts.gateway import envoy, kong
from landcontracts.gateway.deployment import Deployment
from landcontracts.gateway.keys import PublicKey

FOLDER = BASE / "migrations_playbook" / "gateway"
FILES = {"kong": FOLDER / "kong.yml", "envoy": FOLDER / "envoy.yaml"}
WIDTH = 140
MADE = """\
# Made by `manage.py gateway render {gateway}` from landcontracts/gateway/table.py. Do not edit: render it again.
"""
NOTES = {
    "envoy": """\
# Tokens: signature by the platform's key set, exp, iss and aud. Limits are counted by client, and before the token is looked at.
""",
    "kong": """\
# Tokens: signature by the key that the token's kid names, and exp. Kong's jwt plugin compares neither iss nor aud; only the
# platform's own keys are here, and the application compares both. Limits are counted by client, refused tokens among them.
""",
}
NO_KEYS = """\
# No keys are here, so every token is refused. For an installation: manage.py gateway render kong --jwks https://…/.well-known/jwks.json
"""


def text(gateway: str, deployment: Deployment, keys: Sequence[PublicKey] = ()) -> str:
    """The file's content."""
    renderers: dict[str, Callable[[], dict[str, Any]]] = {
        "kong": lambda: kong.render(deployment, keys),
        "envoy": lambda: envoy.render(deployment),
    }
    header = MADE.format(gateway=gateway) + NOTES[gateway] + (NO_KEYS if gateway == "kong" and not keys else "")
    return header + yaml.dump(renderers[gateway](), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=WIDTH)


class _Plain(yaml.SafeDumper):
    """YAML without anchors, for people to read: repeated values are written twice, long texts as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _lines(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Plain.add_representer(str, _lines)
