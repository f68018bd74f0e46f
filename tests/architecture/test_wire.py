"""The contract on the wire: documented, current, and broken by no change that affects an older or a newer build.

Each case plants one change in a small service called `documents` and compares the two documents.
"""

import enum
import inspect
import json
from pathlib import Path
from typing import Annotated, Any
from unittest import mock
from uuid import UUID

import jsonschema
import pytest
from drf_spectacular import validation
from msgspec import Meta

from apps.core.interface.context import WireContext
from apps.core.interface.dto import Dto
from apps.core.interface.errors import Category, DomainError
from apps.core.interface.events import Event
from apps.core.interface.operations import ServiceKey, command, query
from landcontracts.topology import SERVICES
from landcontracts.wire import __main__ as cli
from landcontracts.wire import generate, sources
from landcontracts.wire.compare import breaches
from landcontracts.wire.generate import documents

OPENAPI = json.loads((Path(validation.__file__).parent / "openapi_3_1_schema.json").read_text())


class RG(enum.StrEnum):
    RED = "red"
    GREEN = "green"


class RGB(enum.StrEnum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Tree(Dto):
    x: RG
    branches: tuple["Tree", ...] = ()


class WiderTree(Dto):
    x: RGB
    branches: tuple["WiderTree", ...] = ()


def dto(*fields: tuple[Any, ...], name: str = "Planted", base: Any = Dto, **options: Any) -> Any:
    """A DTO of (name, type) and (name, type, default)."""
    tag = {"tag": options.pop("tag")} if "tag" in options else {}
    defaults = {field: default[0] for field, _, *default in fields if default}
    annotations = {field: kind for field, kind, *_ in fields}
    return type(base)(name, (base,), {"__annotations__": annotations, **defaults, **options}, **tag)


def refusal(category: Category = Category.CONFLICT, **fields: Any) -> type[DomainError]:
    class Planted(DomainError, code="planted", category=category):
        __annotations__ = fields

    return Planted


def service(
    answer: Any = int,
    *,
    mark: Any = query,
    name: str = "get",
    doc: str = "",
    declares: tuple[Any, ...] = (),
    context: Any = WireContext,
    consumes: tuple[str, ...] = (),
    **arguments: Any,
) -> dict[str, Any]:
    """The document of a service with one operation. An argument is a type, or a pair of a type and a default."""

    def method(self):
        raise NotImplementedError

    pairs = {
        key: type_ if isinstance(type_, tuple) else (type_, inspect.Parameter.empty) for key, type_ in arguments.items()
    }
    parameters = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=pair[1]) for key, pair in pairs.items()
    ]
    method.__signature__ = inspect.Signature(parameters)
    method.__annotations__ = {"return": answer, **{key: pair[0] for key, pair in pairs.items()}}
    method.__doc__ = doc
    key = ServiceKey("documents", type("Service", (), {name: mark(method)}))
    with mock.patch.object(generate, "WireContext", context):
        return generate.document(key, {kind.__name__: kind for kind in declares}, consumes)


def raising(*kinds: type[DomainError]) -> dict[str, Any]:
    return service(doc="A thing. Raises: Planted.", declares=kinds)


def emitting(*fields: tuple[Any, ...], doc: str = "") -> dict[str, Any]:
    kind = dto(*fields, name="Happened", base=Event, TYPE="documents.happened", __doc__=doc)
    return service(declares=(kind,))


ID, HASH, NOTE = ("id", UUID), ("sha256", str), ("note", str, "")
OLD_NOTE = ("note", Annotated[str, Meta(extra_json_schema={"deprecated": True})], "")
SHORT, LONG = Annotated[str, Meta(max_length=10)], Annotated[str, Meta(max_length=20)]
CAPITALS = Annotated[str, Meta(pattern="^[A-Z]+$")]
GIVEN, REFUSED, LATER = dto(ID, name="Given", tag="a"), dto(name="Refused", tag="b"), dto(name="Later", tag="c")
NEWS = "contracts.status_changed"
# A breach's place and the affected services, by the first word of its case.
WHERE = {
    "operation": ("documents.get", "called by: portal, signatures"),
    "argument": ("documents.get", "called by: portal, signatures"),
    "answer": ("documents.get", "read by: portal, signatures"),
    "code": ("documents.get", "called by: portal, signatures"),
    "catch": ("documents.get", "caught by: portal, signatures"),
    "refusal": ("documents", "caught by: portal, signatures"),
    "event": ("documents.happened", "handled by: contracts"),
    "consumer": ("documents", "emitted by: contracts"),
    "context": ("every operation", "called by: every service"),
}
BREAKS_OLDER = [
    ("operation gone", service(), service(name="fetch"), "the operation is gone"),
    ("operation of another kind", service(), service(mark=command), "the operation was a query and is a command"),
    (
        "argument gone",
        service(id=UUID, note=(str, "")),
        service(id=UUID),
        "the operation has lost argument note, and what is given for it would be ignored",
    ),
    (
        "argument without field",
        service(box=tuple[dto(ID, HASH), ...]),
        service(box=tuple[dto(ID), ...]),
        "the operation has lost argument box[].sha256, and what is given for it would be ignored",
    ),
    ("argument new", service(), service(why=str), "the operation has a new argument why without default"),
    ("argument required", service(why=(str, "")), service(why=str), "argument why has lost its default"),
    (
        "argument of another type",
        service(x=UUID),
        service(x=int),
        "argument x of the operation was uuid and is integer",
    ),
    ("argument with fewer values", service(x=RGB), service(x=RG), "argument x of the operation no longer takes blue"),
    ("argument of values", service(x=str), service(x=RG), "argument x of the operation was string and is green, red"),
    (
        "argument shorter",
        service(x=LONG),
        service(x=SHORT),
        "argument x of the operation is now limited to maxLength 10, was maxLength 20",
    ),
    (
        "argument larger",
        service(x=Annotated[int, Meta(ge=0)]),
        service(x=Annotated[int, Meta(ge=1)]),
        "argument x of the operation is now limited to minimum 1, was minimum 0",
    ),
    (
        "argument of a pattern",
        service(x=str),
        service(x=CAPITALS),
        "argument x of the operation is now limited to pattern ^[A-Z]+$, was pattern none",
    ),
    ("argument not null", service(x=int | None), service(x=int), "argument x of the operation no longer takes null"),
    ("answer without field", service(dto(ID, HASH)), service(dto(ID)), "the answer has lost field sha256"),
    ("answer without optional field", service(dto(ID, NOTE)), service(dto(ID)), "the answer has lost field note"),
    (
        "answer of another type",
        service(dto(("size", int))),
        service(dto(("size", str))),
        "field size of the answer was integer and is string",
    ),
    (
        "answer with more values",
        service(tuple[dto(("x", RG)), ...]),
        service(tuple[dto(("x", RGB)), ...]),
        "field [].x of the answer may now be blue",
    ),
    ("answer null", service(dto(ID)), service(dto(("id", UUID | None))), "field id of the answer may now be null"),
    ("answer longer", service(SHORT), service(LONG), "the answer is no longer kept to maxLength 10"),
    ("answer of more kinds", service(GIVEN | REFUSED), service(GIVEN | REFUSED | LATER), "the answer may now be Later"),
    (
        "answer of another kind",
        service(GIVEN | REFUSED),
        service(dto(name="Given", tag="a") | REFUSED),
        "the answer has lost field id",
    ),
    ("answer of two", service(tuple[int, RG]), service(tuple[int, RGB]), "field [1] of the answer may now be blue"),
    ("answer within itself", service(Tree), service(WiderTree), "field x of the answer may now be blue"),
    ("code unknown", service(), raising(refusal()), "the refusal planted is new and unknown"),
    ("catch in vain", raising(refusal()), service(declares=(refusal(),)), "the refusal planted is gone"),
    (
        "refusal of another category",
        raising(refusal()),
        raising(refusal(Category.INVALID)),
        "the refusal planted was conflict and is invalid",
    ),
    (
        "refusal without field",
        raising(refusal(limit=int)),
        raising(refusal()),
        "the refusal planted has lost field limit",
    ),
    ("event gone", emitting(ID), service(), "the event is gone"),
    ("event without field", emitting(ID, HASH), emitting(ID), "the event has lost field sha256"),
    ("consumer deaf", service(consumes=(NEWS,)), service(), f"the event {NEWS} is no longer handled"),
    (
        "context with new field",
        service(context=dto(ID)),
        service(context=dto(ID, HASH)),
        "the call context has a new field sha256 without default",
    ),
]
BREAKS_NEWER = [
    (
        "answer with new field",
        service(dto(ID)),
        service(dto(ID, HASH)),
        "the answer has a new field sha256 without default",
    ),
    ("answer with fewer values", service(RGB), service(RG), "the answer can no longer be blue"),
    ("answer not null", service(dto(ID) | None), service(dto(ID)), "the answer can no longer be null"),
    (
        "refusal with new field",
        raising(refusal()),
        raising(refusal(limit=int)),
        "the refusal planted has a new field limit without default",
    ),
    ("event with new field", emitting(ID), emitting(ID, HASH), "the event has a new field sha256 without default"),
    (
        "context with null",
        service(context=dto(ID)),
        service(context=dto(("id", UUID | None))),
        "field id of the call context may now be null",
    ),
]
PASSES = [
    ("operation that was deprecated gone", service(doc="Deprecated: use fetch."), service(name="fetch")),
    ("argument with a default", service(x=int), service(x=int, note=(str, ""))),
    ("argument no longer required", service(x=str), service(x=(str, ""))),
    ("argument's default another", service(x=(str, "")), service(x=(str, "a"))),
    ("argument with more values", service(x=RG), service(x=RGB)),
    ("argument of values freed", service(x=RG), service(x=str)),
    ("argument's form freed", service(x=UUID), service(x=str)),
    ("argument null", service(x=int), service(x=int | None)),
    ("argument longer", service(x=SHORT), service(x=LONG)),
    ("argument's pattern gone", service(x=CAPITALS), service(x=str)),
    ("argument that was deprecated gone", service(x=int, note=OLD_NOTE[1:]), service(x=int)),
    ("answer with a default", service(dto(ID)), service(dto(ID, NOTE))),
    ("answer's field that was deprecated gone", service(dto(ID, OLD_NOTE)), service(dto(ID))),
    ("answer's type renamed", service(dto(ID, name="Document")), service(dto(ID, name="File"))),
    ("answer in another order", service(dto(ID, HASH)), service(dto(HASH, ID))),
    ("refusal that is not raised yet", service(), service(declares=(refusal(),))),
    ("refusal that older builds know", service(declares=(refusal(),)), raising(refusal())),
    ("event new", service(), emitting(ID)),
    ("event with a default", emitting(ID), emitting(ID, NOTE)),
    ("event that was deprecated gone", emitting(ID, doc="Deprecated."), service()),
    ("event handled", service(), service(consumes=(NEWS,))),
    ("context with a default", service(context=dto(ID)), service(context=dto(ID, NOTE))),
]


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "callers_of", lambda _: {"portal", "signatures"})
    monkeypatch.setattr(sources, "hearers_of", lambda _: {"contracts"})


@pytest.mark.parametrize(
    ("builds", "case", "old", "new", "what"),
    [("older", *case) for case in BREAKS_OLDER] + [("newer", *case) for case in BREAKS_NEWER],
)
def test_a_breach_names_its_place_and_the_affected_services(consumers, builds, case, old, new, what):
    place, whose = WHERE[case.split(maxsplit=1)[0]]
    reported = [str(breach) for breach in breaches({"documents": old}, {"documents": new})]
    assert reported == [f"{place}: {what}; breaks {builds} builds; {whose}"]


@pytest.mark.parametrize(("case", "old", "new"), PASSES)
def test_a_compatible_change_passes(consumers, case, old, new):
    assert breaches({"documents": old}, {"documents": new}) == [], case


def test_a_service_that_is_gone_is_a_breach_and_a_new_one_is_none(consumers):
    (breach,) = breaches({"documents": service()}, {"other": service()})
    assert str(breach).startswith("documents.get: the operation is gone")
    assert breaches({}, {"documents": service()}) == []


def test_consumers_are_read_from_the_source():
    assert {"documents itself", "portal", "signatures"} <= sources.callers_of("documents.get")
    assert "the clock" in sources.callers_of("documents.sweep")
    assert {"contracts", "documents"} <= sources.callers_of("workflow.receive")
    assert "notifications" in sources.hearers_of("signatures.signature_refused")


def test_the_committed_documents_are_current_and_break_no_build(capsys: pytest.CaptureFixture[str]):
    status = cli.main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("folder", [cli.FOLDER, cli.FOLDER / cli.RELEASED], ids=["current", "released"])
def test_documents_are_valid_openapi(folder: Path):
    documents_ = cli.load(folder)
    for document in documents_.values():
        jsonschema.Draft202012Validator(OPENAPI).validate(document)
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
    assert documents_


def test_a_document_that_is_no_openapi_is_noticed():
    broken = service() | {"paths": {"no-slash": {}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(OPENAPI).validate(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_is_documented_and_every_reference_leads_somewhere(name: str):
    document = documents()[name]
    key = generate.import_string(SERVICES[name].key)
    documented = {item["post"]["operationId"] for item in document["paths"].values()}
    assert documented == {f"{name}.{operation}" for operation in key.operations}
    components = {f"#/components/{kind}/{part}" for kind, parts in document["components"].items() for part in parts}
    assert set(_refs(document)) <= components
    assert '"additionalProperties": false' not in json.dumps(document), "a reader ignores what it does not know"


def test_refusals_and_events_are_documented():
    documents_ = documents()
    paths = {path: item["post"] for document in documents_.values() for path, item in document["paths"].items()}
    assert generate.codes(paths["/internal/seam/documents/start_upload"]) >= {
        "refusal.contract_not_found", "refusal.file_too_large", "refusal.invalid_arguments", "refusal.idempotency_key_reused",
    }  # fmt: skip
    assert "refusal.idempotency_key_reused" not in generate.codes(paths["/internal/seam/documents/get"])
    assert "refusal.forbidden" in generate.codes(paths["/internal/seam/datasync/get"])
    assert documents_["contracts"]["x-events"].keys() >= {"contracts.contract_created", "contracts.status_changed"}


def _refs(value: Any):
    if isinstance(value, dict):
        yield from (value["$ref"],) if "$ref" in value else ()
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _refs(item)


def test_a_docstring_that_names_no_refusal_is_refused():
    with pytest.raises(LookupError, match=r"documents\.get: after Raises it names Mistyped"):
        service(doc="A thing. Raises: Mistyped.")


def test_a_refusal_that_is_raised_and_not_listed_is_reported():
    documents_ = documents()
    assert list(sources.unlisted(documents_)) == []
    for item in documents_["documents"]["paths"].values():
        item["post"]["responses"].pop("413")
    assert list(sources.unlisted(documents_)) == [
        "documents: FileTooLarge is raised, and no docstring lists it after `Raises:`"
    ]


def test_the_command_line_writes_checks_and_releases(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "gone.json").write_text("{}")
    assert cli.main(["--check"], tmp_path) == 1
    assert "docs/wire/gone.json is stale: run `make wire`" in capsys.readouterr().err
    assert cli.main(["--release"], tmp_path) == 0
    assert sorted(cli.load(tmp_path)) == sorted(cli.load(tmp_path / cli.RELEASED)) == sorted(SERVICES)
    assert cli.main(["--check"], tmp_path) == 0
    older = tmp_path / cli.RELEASED / "documents.json"
    promised = json.loads(older.read_text())
    promised["components"]["schemas"]["DownloadLink"]["properties"]["size"] = {"type": "integer"}
    older.write_text(json.dumps(promised))
    for words in (["--check"], ["--release"]):
        assert cli.main(words, tmp_path) == 1
        errors = capsys.readouterr().err
        assert "documents.download: the answer has lost field size; breaks older builds; read by: " in errors
        assert "docs/adr/0011-compatibility-on-the-wire.md" in errors
    assert cli.main(["--write"], tmp_path) == 0
    assert cli.main(["--release", "--breaking"], tmp_path) == 0
    assert cli.main(["--check"], tmp_path) == 0
