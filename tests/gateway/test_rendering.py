"""The committed files are what the table renders, and unclear options are refused."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from landcontracts.gateway import deployment, renderer
from landcontracts.gateway.deployment import DEFAULT, BadOption, Endpoint
from landcontracts.gateway.envoy.routes import NOWHERE
from landcontracts.gateway.table import ROUTES
from tests.gateway.envoys import SITE, STACK


def rendered(gateway: str, *options: str) -> str:
    output = StringIO()
    call_command("gateway", "render", gateway, *options, stdout=output)
    return output.getvalue()


@pytest.mark.parametrize("gateway", ["kong", "envoy"])
def test_the_committed_file_is_current(gateway: str):
    call_command("gateway", "render", gateway, "--check")
    assert renderer.FILES[gateway].read_text() == rendered(gateway)


@pytest.mark.parametrize("gateway", ["kong", "envoy"])
def test_a_stale_file_is_noticed(gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = tmp_path / "migrations_playbook" / "gateway" / renderer.FILES[gateway].name
    old.parent.mkdir(parents=True)
    monkeypatch.setitem(renderer.FILES, gateway, old)
    with pytest.raises(CommandError, match="is stale"):
        call_command("gateway", "render", gateway, "--check")
    old.write_text(rendered(gateway).replace("workflows", "workflow"))
    with pytest.raises(CommandError, match=f"{old.name} is stale.*--output migrations_playbook/gateway/{old.name}"):
        call_command("gateway", "render", gateway, "--check")
    call_command("gateway", "render", gateway, "--output", str(old))
    call_command("gateway", "render", gateway, "--check")


@pytest.mark.parametrize("gateway", ["kong", "envoy"])
def test_the_same_table_gives_the_same_bytes_in_every_process(gateway: str):
    script = f"from landcontracts.gateway import renderer, deployment; print(renderer.text({gateway!r}, deployment.DEFAULT), end='')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=renderer.BASE,
        env={"PYTHONHASHSEED": "7"},
    )
    assert done.stdout == renderer.FILES[gateway].read_text()


def test_envoy_itself_accepts_the_committed_file():
    program = Path(sys.executable).parent / "envoy"
    file = renderer.FILES["envoy"]
    done = subprocess.run([program, "--mode", "validate", "-c", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
    broken = file.read_text().replace("path_separated_prefix: /admin", "segment_prefix: /admin", 1)
    done = subprocess.run(
        [program, "--mode", "validate", "--config-yaml", broken], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_all_routes_are_in_envoys_file_in_the_tables_order_and_none_divides_traffic():
    listener = yaml.safe_load(renderer.FILES["envoy"].read_text())["static_resources"]["listeners"][0]
    http = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = http["route_config"]["virtual_hosts"]
    names = [route["name"] for route in host["routes"] if not route["name"].endswith("-too-large")]
    assert names == [*(route.label for route in ROUTES), NOWHERE]
    assert "weighted_clusters" not in renderer.FILES["envoy"].read_text()
    filters = [entry["name"].rpartition(".")[2] for entry in http["http_filters"]]
    assert filters == ["cors", "local_ratelimit", "jwt_authn", "buffer", "router"]


@pytest.mark.parametrize("gateway", ["kong", "envoy"])
def test_only_named_sites_are_allowed_and_never_all(gateway: str):
    assert "allow_origin" not in rendered(gateway)
    assert "origins" not in rendered(gateway)
    assert f"- {SITE}" in rendered(gateway, "--origin", SITE) or f"exact: {SITE}" in rendered(gateway, "--origin", SITE)
    for origin in ("*", "https://*.example", "https://app.example/", "HTTPS://app.example", "app.example", "null"):
        with pytest.raises(CommandError, match="is not an origin"):
            rendered(gateway, "--origin", origin)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--apart", "dokuments=http://d:1"], "there is no service 'dokuments'; there are authentication"),
        (["--apart", "documents"], "not http://host:port"),
        (["--apart", "documents=https://d:1"], "not http://host:port"),
        (["--upstream", "http://web:99999999"], "not http://host:port"),
        (["--listen", "8080"], "not http://host:port"),
        (["--limit", "api=0/60"], "not requests/seconds"),
        (["--limit", "apis=1/60"], "there is no 'apis'; there are sign-in"),
        (["--patience", "usual=0"], "no number of seconds"),
        (["--body", "small=1kb"], "no number of bytes"),
        (["--jwks", "/nowhere/jwks.json"], "/nowhere/jwks.json"),
        (["--trusted-hops", "-1"], "trusted-hops"),
    ],
)
def test_an_option_that_says_nothing_is_refused(options: list[str], words: str):
    with pytest.raises(CommandError, match=words.replace("?", r"\?")):
        rendered("kong", *options)


def test_envoy_fetches_keys_itself():
    with pytest.raises(CommandError, match="--jwks"):
        rendered("envoy", "--jwks", f"{STACK}/.well-known/jwks.json")


def test_addresses_are_read_in_both_forms():
    assert deployment.endpoint("http://web:8000") == Endpoint("web", 8000) == deployment.endpoint("web:8000")
    assert deployment.endpoint("http://[::1]:1/") == Endpoint("::1", 1)
    assert str(Endpoint("::1", 1)) == "[::1]:1"
    assert deployment.from_options({}) == DEFAULT
    with pytest.raises(BadOption):
        deployment.endpoint("ftp://web:1")
