"""The readiness probe of the documents' bucket."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from django.conf import settings

from apps.core.health.probes import CONNECT_SECONDS, Dependency


def storage() -> tuple[Dependency, ...]:
    """The dependencies of the family `storage`."""
    return (Dependency("storage", _bucket),)


def _bucket() -> None:
    _s3().head_bucket(Bucket=settings.DOCUMENTS_BUCKET)


@cache
def _s3() -> Any:
    """A client of the probe's own: the client for files waits a minute before it gives up."""
    storage: Any = settings.STORAGES["documents"]
    options = storage["OPTIONS"]
    return boto3.session.Session().client(
        "s3",
        endpoint_url=options["endpoint_url"],
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
        region_name=options["region_name"],
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=CONNECT_SECONDS,
            retries={"total_max_attempts": 1},
            signature_version=options["signature_version"],
            s3={"addressing_style": options["addressing_style"]},
        ),
    )
