"""Envoy's own answers as problem details."""

from __future__ import annotations

import math
from typing import Any

from landcontracts.gateway.deployment import Deployment
from landcontracts.gateway.envoy.filters import typed
from landcontracts.gateway.refusals import (
    CONTENT_TYPE,
    LANGUAGES,
    PREFERS_ENGLISH,
    REFUSALS,
    TOO_MANY,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Refusal,
)

INSTANCE = "%PATH(NQ:PATH)%"
# Envoy answers 401 where it could not fetch the keys, and 403 to a token for another audience.
NO_KEYS = 'response.code_details.contains("Jwks_remote_fetch_is_failed")'
OTHER_AUDIENCE = 'response.code_details.contains("Audiences_in_Jwt_are_not_allowed")'


def local_replies(deployment: Deployment) -> dict[str, Any]:
    """The mapping of Envoy's answers to refusals; the first match is used."""
    # After this time every bucket has a token again.
    wait = max(math.ceil(rate.seconds / rate.requests) for rate in deployment.limits.values())
    special = [(_explained(NO_KEYS), UNAVAILABLE), (_explained(OTHER_AUDIENCE), UNAUTHENTICATED)]
    usual = [(_status(refusal.status), refusal) for refusal in REFUSALS]
    mappers = [
        _mapper(condition, refusal, language, {"retry-after": str(wait)} if refusal is TOO_MANY else {})
        for condition, refusal in (*special, *usual)
        for language in LANGUAGES
    ]
    return {"mappers": mappers}


def _mapper(condition: dict[str, Any], refusal: Refusal, language: str, headers: dict[str, str]) -> dict[str, Any]:
    filters = [condition, _english()] if language != LANGUAGES[-1] else [condition]
    return {
        "filter": filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}},
        "status_code": refusal.status,
        "headers_to_add": [_header(name, value) for name, value in (_headers(refusal, language) | headers).items()],
        "body_format_override": {
            "content_type": CONTENT_TYPE,
            "json_format": refusal.problem(language, INSTANCE),
        },
    }


def _headers(refusal: Refusal, language: str) -> dict[str, str]:
    return {
        "x-request-id": "%REQ(X-REQUEST-ID):64%",
        "content-language": language,
        "vary": "Accept-Language",
        "cache-control": "no-store",
        **refusal.headers,
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _english() -> dict[str, Any]:
    match = {"safe_regex": {"regex": PREFERS_ENGLISH}, "ignore_case": False}
    return {"header_filter": {"header": {"name": "accept-language", "string_match": match}}}


def _status(status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": f"gateway.answers.{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _explained(expression: str) -> dict[str, Any]:
    config = typed("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=expression)
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}}
