"""Kong's file: valid, and without the usual mistakes that lock clients out or let them in. Kong itself cannot be run here."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from apps.core.rest.keys import JsonWebKeySet, web_key
from landcontracts.gateway import keys, kong, renderer
from landcontracts.gateway.deployment import DEFAULT, from_options
from landcontracts.gateway.table import find
from tests.gateway.envoys import SITE, STACK
from tests.gateway.test_table import PATHS

PLUGINS = json.loads(Path(__file__).with_name("kong-plugins.schema.json").read_text())
DECK = shutil.which("deck")


def jwks(number: int) -> bytes:
    import msgspec

    public_keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key() for _ in range(number)]
    return msgspec.json.encode(JsonWebKeySet(keys=tuple(web_key(key) for key in public_keys)))


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    """A file with everything in it."""
    options = {"origin": [SITE], "apart": ["documents=http://documents:8101"]}
    return yaml.safe_load(renderer.text("kong", from_options(options), keys.parse(jwks(2))))


def plugins(entity: Any) -> list[dict[str, Any]]:
    if isinstance(entity, list):
        return [plugin for item in entity for plugin in plugins(item)]
    if isinstance(entity, dict):
        return [*entity.get("plugins", []), *(plugin for value in entity.values() for plugin in plugins(value))]
    return []


def deck(content: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "kong.yml"
    file.write_text(content)
    return subprocess.run([DECK, "validate", "-s", str(file)], capture_output=True, text=True, check=False)


@pytest.mark.skipif(DECK is None, reason="deck is not installed (Debian's package deck)")
def test_deck_validates_it(full: dict[str, Any], tmp_path: Path):
    for content in (renderer.FILES["kong"].read_text(), yaml.safe_dump(full)):
        done = deck(content, tmp_path)
        assert done.returncode == 0, done.stderr
    for right, wrong in (
        ("regex_priority", "regex_prio"),
        ("strip_path: false", "strip_path: 1"),
        ("preserve_host", "keep_host"),
    ):
        done = deck(renderer.FILES["kong"].read_text().replace(right, wrong, 1), tmp_path)
        assert done.returncode != 0, wrong


def test_every_plugin_fits_kongs_schema_of_it(full: dict[str, Any]):
    committed = yaml.safe_load(renderer.FILES["kong"].read_text())
    different = {json.dumps(plugin, sort_keys=True) for file in (committed, full) for plugin in plugins(file)}
    for plugin in different:
        jsonschema.validate(json.loads(plugin), PLUGINS)
    assert {plugin["name"] for plugin in plugins(full)} == set(PLUGINS["properties"]["name"]["enum"])


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("jwt", {"claims_to_verify": [], "uri_param_names": []}),
        ("jwt", {"claims_to_verify": ["exp", "aud"], "uri_param_names": []}),
        ("jwt", {"claims_to_verify": ["exp"], "uri_param_names": ["jwt"]}),
        ("jwt", {"claims_to_verify": ["exp"], "uri_param_names": [], "audience": "x"}),
        ("rate-limiting", {"minute": 5, "limit_by": "consumer"}),
        ("rate-limiting", {"minute": 5, "limit_by": "ip", "policy": "cluster"}),
        ("rate-limiting", {"minute": 0, "limit_by": "ip"}),
        ("cors", {"origins": ["*"]}),
        ("cors", {"origins": []}),
        ("request-termination", {"status_code": 401, "content_type": "text/plain"}),
        ("canary", {"percentage": 5}),
    ],
)
def test_the_usual_mistakes_do_not_fit(name: str, config: dict[str, Any]):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": name, "config": config}, PLUGINS)


def routed(file: dict[str, Any], path: str, *, token: bool) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The service and route that Kong's default router takes: what asks for a header first, then by priority."""
    matches = []
    for service in file["services"]:
        for route in service["routes"]:
            (pattern,) = route["paths"]
            if not re.match(pattern.removeprefix("~"), path):
                continue
            if "headers" in route and not token:
                continue
            matches.append(((len(route.get("headers", ())), route["regex_priority"]), service, route))
    return max(matches, key=lambda item: item[0])[1:] if matches else None


def checks(route: dict[str, Any]) -> bool:
    return any(plugin["name"] == "jwt" for plugin in route.get("plugins", ()))


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without"])
def test_kong_takes_the_route_that_the_table_says(full: dict[str, Any], token: bool):
    for path in [
        *(path for path, _ in PATHS),
        "/api/v1/authors",
        "/internal/seam/documents/get",
        "/apix",
        "/metrics",
        "/x",
    ]:
        route, taken = find(path), routed(full, path, token=token)
        assert (route is None) == (taken is None), path
        if route is None:
            continue
        service, kongs = taken
        assert kongs["name"].removesuffix("-token").removesuffix("-plain") == route.label, path
        assert checks(kongs) == (token and route.checks_token), path
        apart = token and route.service == "documents"
        assert service["host"] == ("documents" if apart else "platform"), path
        assert (kongs["strip_path"], kongs["preserve_host"]) == (False, True)


def test_priorities_are_distinct_where_paths_overlap(full: dict[str, Any]):
    routes = [route for service in full["services"] for route in service["routes"]]
    ranks = [(len(route.get("headers", ())), route["regex_priority"]) for route in routes]
    assert len(set(ranks)) == len(ranks)
    assert len({route["name"] for route in routes}) == len(routes)


def test_a_refused_token_is_counted_and_answered_with_the_platforms_problem(full: dict[str, Any]):
    (termination,) = next(user for user in full["consumers"] if user["username"] == kong.REFUSED)["plugins"]
    assert termination["config"]["status_code"] == 401
    assert json.loads(termination["config"]["body"])["code"] == "authentication_failed"
    tokens = [plugin["config"] for plugin in plugins(full["services"]) if plugin["name"] == "jwt"]
    assert {config["anonymous"] for config in tokens} == {kong.REFUSED}  # so that the limiter comes before the refusal
    for service in full["services"]:
        assert [plugin["name"] for plugin in service["plugins"]][:2] == ["rate-limiting", "request-size-limiting"]


def test_the_live_key_set_becomes_credentials_by_kid():
    key_set = keys.load(f"{STACK}/.well-known/jwks.json")
    file = kong.render(DEFAULT, key_set)
    (secrets,) = [user["jwt_secrets"] for user in file["consumers"] if "jwt_secrets" in user]
    from apps.core.rest.keys import keyring

    assert {secret["key"] for secret in secrets} == set(keyring.public)
    for secret in secrets:
        assert secret["algorithm"] == "RS256"
        assert web_key(load_pem_public_key(secret["rsa_public_key"].encode())).kid == secret["key"]


def test_several_keys_are_good_at_a_time(full: dict[str, Any]):
    (secrets,) = [user["jwt_secrets"] for user in full["consumers"] if "jwt_secrets" in user]
    assert len({secret["key"] for secret in secrets}) == 2


def test_without_keys_every_token_is_refused_and_the_file_says_so():
    content = renderer.FILES["kong"].read_text()
    assert "No keys are here, so every token is refused." in content
    assert "jwt_secrets" not in content
    assert "neither iss nor aud" in content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}',
        b'{"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]}',
        b'{"keys": [{"kty": "RSA", "kid": "a", "n": "", "e": ""}]}',
        b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
        b'{"keys": [{"kty": "RSA", "kid": "a", "alg": "RS512", "n": "AQAB", "e": "AQAB"}]}',
    ],
)
def test_what_is_no_public_key_set_is_refused(content: bytes):
    with pytest.raises(keys.NoKeys):
        keys.parse(content)
