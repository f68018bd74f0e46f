"""What a request passes on its way: CORS, limits, the token, the body's bound."""

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
# Buckets that are kept at a time. The least used is forgotten, which gives its client a full one.
CLIENTS = 20_000
LIMIT_KEY, CLIENT_KEY = "limit", "masked_remote_address"
METADATA = "landcontracts.gateway"
EVERYONE = Rate(100_000, 60)  # a bound for all clients together, for what no other limit fits


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """A message with its type, as Envoy's JSON has it."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def http_filters(deployment: Deployment) -> list[dict[str, Any]]:
    """The chain, in its order."""
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
    """A bucket of tokens for each client and limit, in this process; no service outside is asked."""
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
            # An entry without a value stands for each value that comes.
            {
                "entries": [{"key": LIMIT_KEY, "value": limit.value}, {"key": CLIENT_KEY}],
                "token_bucket": _bucket(deployment.limits[limit]),
            }
            for limit in Limit
        ],
    )


def counted(limit: Limit) -> dict[str, Any]:
    """A route's metadata: which of its client's buckets a request is taken from."""
    return {"filter_metadata": {METADATA: {LIMIT_KEY: limit.value}}}


def _by_route_and_client() -> dict[str, Any]:
    """A client on IPv6 is its network of 64 bits: whoever has one address has them all."""
    key = {"key": METADATA, "path": [{"key": LIMIT_KEY}]}
    return {
        "actions": [
            {"metadata": {"descriptor_key": LIMIT_KEY, "metadata_key": key, "source": "ROUTE_ENTRY"}},
            {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}},
        ]
    }


def cors(deployment: Deployment) -> dict[str, Any]:
    """Scripts of the listed sites; by token, never with a session's cookie."""
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
    """RFC 7519 by our key set: signature, issuer, audience, expiry. No route asks for it but those that name the requirement."""
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
        # A token that is sent has to be good; where none is, the application asks for one, or knows the browser's session.
        requirement_map={
            REQUIREMENT: {"requires_any": {"requirements": [{"provider_name": PROVIDER}, {"allow_missing": {}}]}}
        },
    )


def _bucket(rate: Rate) -> dict[str, Any]:
    return {"max_tokens": rate.requests, "tokens_per_fill": rate.requests, "fill_interval": f"{rate.seconds}s"}


def _always(name: str) -> dict[str, Any]:
    return {"runtime_key": f"gateway.limits.{name}", "default_value": {"numerator": 100, "denominator": "HUNDRED"}}
