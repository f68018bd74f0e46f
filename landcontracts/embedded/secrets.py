"""The secrets of an embedded stack, generated at its first start and stored in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from landcontracts import valkey
from landcontracts.topology import SERVICES

NAMES = (
    "SECRET_KEY",
    "SEAM_MASTER_SECRETS",
    "COMMAND_DIGEST_SECRET",
    "REFRESH_TOKEN_SECRET",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "REDIS_PASSWORD",
    "DB_SUPERUSER_PASSWORD",
    "DB_OWNER_PASSWORD",
    "DB_APP_PASSWORD",
    "DB_REPLICATOR_PASSWORD",
    "DB_CONTROL_PASSWORD",
    "DEMO_PASSWORD",
    *(f"DB_{service.upper()}_PASSWORD" for service in SERVICES),
    *(f"REDIS_{kind.upper()}_PASSWORD" for kind in valkey.KINDS),
)


def load(folder: Path) -> dict[str, str]:
    """The stack's secrets; missing ones are generated."""
    file = folder / "secrets.json"
    stored: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    if stored.keys() >= {*NAMES, "JWT_SIGNING_KEY"}:
        return stored
    values = {name: secrets.token_hex(24) for name in NAMES}
    values["DEMO_PASSWORD"] = f"demo-{secrets.token_urlsafe(9)}"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    values["JWT_SIGNING_KEY"] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    values |= stored  # a newer version may need one more
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as output:
        json.dump(values, output)
    return values


def service_passwords(values: dict[str, str], engine: str) -> dict[str, str]:
    """The password of each service's own role or user in an engine."""
    return {service: values[f"{engine}_{service.upper()}_PASSWORD"] for service in SERVICES}
