"""`Raises:` of an operation names what it can raise: no refusal more, and none less."""

from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from landcontracts.topology import SERVICES
from tests.architecture.raises import App, listed

OPERATIONS = [
    (service, name)
    for service, entry in SERVICES.items()
    for name in import_string(entry.key).operations
    if name != "receive"  # what a handler raises delays the delivery, and reaches no caller
]


@pytest.fixture(scope="module")
def apps() -> dict[str, App]:
    return {service: App(service) for service in SERVICES}


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_operation_lists_what_it_raises(apps: dict[str, App], service: str, name: str):
    module, _, implementation = SERVICES[service].implementation.rpartition(".")
    operation = import_string(SERVICES[service].key).operations[name]
    assert listed(operation.function.__doc__) == apps[service].raised(module, f"{implementation}.{name}")


PROGRAM = """
from apps.documents import logic
from apps.documents.interface import DocumentNotFound, FileEmpty, FileTooLarge, SignaturesUnknown
class Service:
    def direct(self):
        raise DocumentNotFound
    def chosen(self, flag):
        raise FileEmpty if flag else FileTooLarge(limit=1)
    def through(self):
        self.direct()
    def elsewhere(self):
        helper()
    def caught(self):
        try:
            self.direct()
        except DocumentNotFound:
            return None
    def passed_on(self):
        try:
            self.direct()
        except DocumentNotFound:
            raise
    def replaced(self):
        try:
            self.direct()
        except DocumentNotFound as error:
            raise FileEmpty from error
    def suppressed(self):
        with contextlib.suppress(DocumentNotFound):
            self.direct()
    def asks(self):
        call(CONTRACTS).history(ctx=1)
    def circle(self):
        self.back()
        raise FileEmpty
    def back(self):
        self.circle()
        raise DocumentNotFound
def helper():
    raise FileEmpty
"""


@pytest.mark.parametrize(
    ("method", "errors"),
    [
        ("direct", {"DocumentNotFound"}),
        ("chosen", {"FileEmpty", "FileTooLarge"}),
        ("through", {"DocumentNotFound"}),
        ("elsewhere", {"FileEmpty"}),
        ("caught", set()),
        ("passed_on", {"DocumentNotFound"}),
        ("replaced", {"FileEmpty"}),
        ("suppressed", set()),
        ("asks", {"ContractNotFound"}),
        ("circle", {"FileEmpty", "DocumentNotFound"}),
        ("back", {"FileEmpty", "DocumentNotFound"}),
    ],
)
def test_what_is_raised_is_seen_and_what_is_caught_is_not(tmp_path: Path, method: str, errors: set[str]):
    (tmp_path / "apps" / "documents").mkdir(parents=True)
    (tmp_path / "apps" / "documents" / "service.py").write_text(PROGRAM)
    assert App("documents", tmp_path).raised("apps.documents.service", f"Service.{method}") == errors
