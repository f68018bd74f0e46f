"""Which refusals an operation can raise, read from the syntax tree: what it raises itself, through its app's functions, and what the
operations that it calls list after `Raises:`. What is caught on the way does not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from django.utils.module_loading import import_string

from apps.core.interface.operations import ServiceKey
from landcontracts.topology import SERVICES
from landcontracts.wire.generate import declared, interface

BASE = Path(__file__).resolve().parent.parent.parent
LISTED = re.compile(r"Raises:(.*)", re.DOTALL)
# Raised by an app itself; the seam's other refusals can come from any call, and no docstring lists them.
OF_CORE = {"Forbidden"}
CATCH_ALL = {"DomainError", "Exception", "BaseException"}


def errors_of(service: str) -> set[str]:
    """The names of a service's own refusals."""
    return {error.__name__ for error in declared(interface(import_string(SERVICES[service].key)))}


ALL = OF_CORE.union(*(errors_of(service) for service in SERVICES))


def listed(docstring: str | None) -> set[str]:
    """The refusals that a docstring lists after `Raises:`."""
    match = LISTED.search(docstring or "")
    return set(re.findall(r"[A-Z]\w+", match[1])) & ALL if match else set()


class App:
    """The functions of one app, and what each can raise."""

    def __init__(self, service: str, base: Path = BASE) -> None:
        self._package = f"apps.{service}"
        self._functions: dict[tuple[str, str], ast.FunctionDef] = {}
        self._imports: dict[str, dict[str, str]] = {}
        self._known: dict[tuple[str, str], set[str]] = {}
        self._open: list[tuple[str, str]] = []
        for file in sorted((base / "apps" / service).rglob("*.py")):
            if not {"tests", "migrations", "rest"} & set(file.parts) and file.name not in {
                "testing.py",
                "interface.py",
            }:
                self._read(file, ".".join(file.relative_to(base).with_suffix("").parts))

    def _read(self, file: Path, module: str) -> None:
        tree = ast.parse(file.read_text())
        imports = self._imports.setdefault(module, {})
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                imports |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self._functions[module, node.name] = node
            elif isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef):
                        self._functions[module, f"{node.name}.{method.name}"] = method

    def raised(self, module: str, name: str) -> set[str]:
        """What a function can raise."""
        key = module, name
        if key in self._open:  # a function that calls itself, perhaps through others, raises what they raise
            return set()
        if key not in self._known:
            self._open.append(key)
            errors = self._of_body(self._functions[key].body, module, name.rpartition(".")[0])
            self._open.pop()
            if self._open:  # what was left out of an open circle would be kept for good
                return errors
            self._known[key] = errors
        return self._known[key]

    def _of_body(self, body: Iterable[ast.AST], module: str, owner: str) -> set[str]:
        return set().union(*(self._of(node, module, owner) for node in body))

    def _of(self, node: ast.AST, module: str, owner: str) -> set[str]:
        if isinstance(node, ast.Try):
            inner = self._of_body(node.body, module, owner)
            for handler in node.handlers:
                caught = _names(handler.type) if handler.type is not None else CATCH_ALL
                if not any(isinstance(one, ast.Raise) and one.exc is None for one in ast.walk(handler)):
                    inner = set() if caught & CATCH_ALL else inner - caught
            handled = [statement for handler in node.handlers for statement in handler.body]
            return inner | self._of_body([*handled, *node.orelse, *node.finalbody], module, owner)
        if isinstance(node, ast.With):
            inner = self._of_body([*(item.context_expr for item in node.items), *node.body], module, owner)
            return inner.difference(*map(_suppressed, node.items))
        found = set()
        if isinstance(node, ast.Raise) and node.exc is not None:
            found |= (_names(node.exc) | self._made_by(node.exc, module, owner)) & ALL
        if isinstance(node, ast.Call):
            found |= self._of_call(node, module, owner)
        return found | self._of_body(ast.iter_child_nodes(node), module, owner)

    def _of_call(self, node: ast.Call, module: str, owner: str) -> set[str]:
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            return _of_operation(node, function)
        for target in self._targets(function, module, owner):
            if target in self._functions:
                return self.raised(*target)
        return set()

    def _made_by(self, raised: ast.expr, module: str, owner: str) -> set[str]:
        """Of `raise refusal(…)` with a function of the app: the type that it returns."""
        if isinstance(raised, ast.Call):
            for target in self._targets(raised.func, module, owner):
                if target in self._functions and (returned := self._functions[target].returns) is not None:
                    return _names(returned)
        return set()

    def _targets(self, function: ast.expr, module: str, owner: str) -> list[tuple[str, str]]:
        imports = self._imports[module]
        if isinstance(function, ast.Name):
            source, _, name = imports.get(function.id, "").rpartition(".")
            return [(module, function.id), (source, name)]
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.value.id == "self":
                return [(module, f"{owner}.{function.attr}")]
            return [(imports.get(function.value.id, ""), function.attr)]
        return []


def _of_operation(node: ast.Call, function: ast.Attribute) -> set[str]:
    """`call(KEY).operation(…)`: what its docstring lists. To the system itself nothing is forbidden."""
    inner = function.value
    assert isinstance(inner, ast.Call)
    if not (isinstance(inner.func, ast.Name) and inner.func.id == "call" and isinstance(inner.args[0], ast.Name)):
        return set()
    service = inner.args[0].id.lower()
    if service not in SERVICES:
        return set()
    key: ServiceKey[object] = import_string(SERVICES[service].key)
    errors = listed(key.operations[function.attr].function.__doc__)
    is_system = any(
        "as_actor(SYSTEM)" in ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "ctx"
    )
    return errors - OF_CORE if is_system else errors


def _names(node: ast.expr) -> set[str]:
    """The names in `E`, `E(...)`, `module.E`, `A if c else B`, `(A, B)`."""
    if isinstance(node, ast.Call):
        return _names(node.func)
    if isinstance(node, ast.IfExp):
        return _names(node.body) | _names(node.orelse)
    if isinstance(node, ast.Tuple):
        return set().union(*map(_names, node.elts))
    if isinstance(node, ast.Attribute):
        return {node.attr}
    return {node.id} if isinstance(node, ast.Name) else set()


def _suppressed(item: ast.withitem) -> set[str]:
    call = item.context_expr
    if isinstance(call, ast.Call) and "suppress" in _names(call.func):
        return set().union(*map(_names, call.args))
    return set()
