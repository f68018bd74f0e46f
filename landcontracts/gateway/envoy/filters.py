"""The HTTP filters that a request passes: CORS, limits, the token's check, the body's limit."""

from __future__ import annotations

from typing import Any

from landcontracts.gateway.deployment import Deployment, Rate
from landcontracts.gateway.table import Body, Limit

CORS = "envoy.filters.http.cors"
LIMITER = "envoy.filters.http.local_ratelimit"
TOKENS = "envoy.filters.http.jwt_authn"
BUFFER = "envoy.filters.http.buffer"
PLATFORM = "platform"
PROVIDER = REQUIREMENT = "landcontracts"
JWKS_PATH = "/.well-known/jwks.json"
# The number of buckets in memory. The least used is dropped, which gives its client a full one.
CLIENTS = 20_000
LIMIT_KEY, CLIENT_KEY = "limit", "masked_remote_address"
METADATA = "landcontracts.gateway"
EVERYONE = Rate(100_000, 60)  # a limit for all clients together, where no other limit matches


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """A message with its type, in Envoy's JSON form."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def http_filters(deployment: Deployment) -> list[dict[str, Any]]:
    """The filter chain, in order."""
    configs = {
        CORS: typed("envoy.extensions.filters.http.cors.v3.Cors"),
        LIMITER: limiter(deployment),
        TOKENS: _tokens(deployment),
        BUFFER: typed(
            "envoy.extensions.filters.http.buffer.v3.Buffer", max_request_bytes=deployment.bodies[Body.SMALL]
        ),
        "envoy.filters.http.router": typed(
            "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
        ),
    }
    return [{"name": name, "typed_config": config} for name, config in configs.items()]


def limiter(deployment: Deployment) -> dict[str, Any]:
    """A bucket of tokens for each client and limit, in Envoy's own memory."""
    return typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="clients",
        token_bucket=_bucket(EVERYONE),
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=CLIENTS,
        filter_enabled=_always("enabled"),
        filter_enforced=_always("enforced"),
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        rate_limits=[_by_route_and_client()],
        descriptors=[
            # An entry without a value matches every value.
            {
                "entries": [{"key": LIMIT_KEY, "value": limit.value}, {"key": CLIENT_KEY}],
                "token_bucket": _bucket(deployment.limits[limit]),
            }
            for limit in Limit
        ],
    )


def counted(limit: Limit) -> dict[str, Any]:
    """A route's metadata, which selects the client's bucket that a request counts against."""
    return {"filter_metadata": {METADATA: {LIMIT_KEY: limit.value}}}


def _by_route_and_client() -> dict[str, Any]:
    """Count by route and client. An IPv6 client is its /64 network, because it can use all of its addresses."""
    key = {"key": METADATA, "path": [{"key": LIMIT_KEY}]}
    return {
        "actions": [
            {"metadata": {"descriptor_key": LIMIT_KEY, "metadata_key": key, "source": "ROUTE_ENTRY"}},
            {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}},
        ]
    }


def cors(deployment: Deployment) -> dict[str, Any]:
    """The CORS policy: scripts of the listed sites, by token, never with a session's cookie."""
    return typed(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": origin} for origin in deployment.origins],
        allow_methods="GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        allow_headers="Authorization, Content-Type, Accept-Language, Idempotency-Key, X-Request-ID, traceparent",
        expose_headers="X-Request-ID, X-Answered-By, Retry-After, WWW-Authenticate, X-RateLimit-Limit, "
        "X-RateLimit-Remaining, X-RateLimit-Reset",
        max_age="600",
        allow_credentials=False,
        forward_not_matching_preflights=False,
    )


def _tokens(deployment: Deployment) -> dict[str, Any]:
    """Token checks (RFC 7519) by our key set: signature, issuer, audience, expiry. Routes name the requirement."""
    return typed(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={
            PROVIDER: {
                "issuer": deployment.issuer,
                "audiences": [deployment.audience],
                "require_expiration": True,
                "clock_skew_seconds": deployment.clock_skew_seconds,
                "forward": True,
                "from_headers": [
                    {"name": "Authorization", "value_prefix": prefix} for prefix in ("Bearer ", "bearer ", "BEARER ")
                ],
                "remote_jwks": {
                    "http_uri": {
                        "uri": f"http://{deployment.host}{JWKS_PATH}",
                        "cluster": PLATFORM,
                        "timeout": "2s",
                    },
                    "cache_duration": f"{deployment.jwks_seconds}s",
                    "async_fetch": {"failed_refetch_duration": "1s"},
                    "retry_policy": {"num_retries": 2},
                },
                "jwt_cache_config": {"jwt_cache_size": 10_000},
            }
        },
        # A token that is sent must be valid; without one, the application requires one or uses the browser's session.
        requirement_map={
            REQUIREMENT: {"requires_any": {"requirements": [{"provider_name": PROVIDER}, {"allow_missing": {}}]}}
        },
    )


def _bucket(rate: Rate) -> dict[str, Any]:
    return {"max_tokens": rate.requests, "tokens_per_fill": rate.requests, "fill_interval": f"{rate.seconds}s"}


def _always(name: str) -> dict[str, Any]:
    return {"runtime_key": f"gateway.limits.{name}", "default_value": {"numerator": 100, "denominator": "HUNDRED"}}
