"""Masks personal data and secrets in values that are logged, shown or exported. In doubt, text is masked.

Patterns find values with a distinctive form; field names find the rest. A person's name has neither, so it is never
logged. Imports only the standard library, because the settings configure logging with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_DEPTH = 8
MAX_TEXT = 32_000
MASK = "[masked]"

# Bounded, so that a long text without an address costs no more than its length times 64 (RFC 5321, section 4.5.3.1.1).
_LOCAL = r"""(?:"[^"\r\n]{0,64}"|[^\s"<>(),;:\\\[\]@]{1,64})"""
_AT = r"(?:@|%40)"
_EMAIL = re.compile(rf"{_LOCAL}{_AT}(?:\[[^\]\s]{{1,64}}\]|[\w.\-]+)", re.IGNORECASE)
_USERINFO = re.compile(r"(://)[^\s/@]+@")
_TOKEN = re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?")
_SCHEME = re.compile(r"\b(bearer|basic|digest|negotiate)\s+[^\s,;'\"]+", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_HEADER = re.compile(r"""\b((?:set-)?cookie|(?:proxy-)?authorization)(["']?\s*[:=]\s*)[^\r\n]+""", re.IGNORECASE)
# The value behind a name: quoted, or up to what ends a value in a URL, a repr or a sentence.
_VALUE = r"""(?:b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|[^\s,;&'"(){}\[\]<>]+)"""
# A match begins only at the start of a word: a new attempt at each hyphen would take the square of the word's length.
_NAMED = re.compile(
    r"""(?<![\w-])([\w-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key|signature|credential|accesskeyid|sessionid|csrf)[\w-]*)"""
    rf"""(["']?\s*[:=]\s*){_VALUE}""",
    re.IGNORECASE,
)
# Digits that stand alone: in an id of hexadecimal digits and hyphens, others precede or follow them.
_BEFORE, _BEHIND = r"(?<![\w.:-])", r"(?![\w-]|[.:]\d)"
_PHONE = re.compile(rf"(?<![\w])\+\d(?:[\s().-]*\d){{8,14}}|{_BEFORE}8(?:[\s().-]*\d){{10}}{_BEHIND}")
_SNILS = re.compile(rf"{_BEFORE}\d{{3}}-\d{{3}}-\d{{3}}[\s-]?\d{{2}}{_BEHIND}")
_PASSPORT = re.compile(rf"{_BEFORE}\d{{2}}\s?\d{{2}}[\s№-]{{0,3}}\d{{6}}{_BEHIND}")
_INN = re.compile(rf"{_BEFORE}\d{{10,12}}{_BEHIND}")
_DIGITS = re.compile(r"\d{2}")
# Names of events, routes, services: most logged texts contain nothing to mask.
_HARMLESS = re.compile(r"(?!.*eyJ)[A-Za-z_./<>-]{0,80}")

# Names of fields whose values are always masked.
_SENSITIVE = re.compile(
    r"passw|passphrase|secret|token|authori[sz]ation|cookie|api_?key|private_?key|credential|signature$|csrf|session_?(?:id|key)$"
    r"|e_?mail|phone|passport|snils|(?:^|_)inn(?:$|_)|(?:full|first|last|middle|user|file)_?name|address$",
    re.IGNORECASE,
)


def masked_text(text: str) -> str:
    """A text without addresses, telephone and document numbers, tokens, passwords and signatures."""
    if _HARMLESS.fullmatch(text):
        return text
    text = text[:MAX_TEXT]
    if "=" in text or ":" in text:
        text = _HEADER.sub(rf"\1\2{MASK}", text)
        text = _NAMED.sub(rf"\1\2{MASK}", text)
    if "PRIVATE KEY" in text:
        text = _PEM.sub(MASK, text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    if "eyJ" in text:
        text = _TOKEN.sub(MASK, text)
    if "@" in text or "%40" in text:
        text = _USERINFO.sub(rf"\1{MASK}@", text)
        text = _EMAIL.sub("[e-mail]", text)
    if _DIGITS.search(text):
        for pattern, word in ((_PHONE, "[phone]"), (_SNILS, "[number]"), (_PASSPORT, "[number]"), (_INN, "[number]")):
            text = pattern.sub(word, text)
    return text


def is_sensitive(name: str) -> bool:
    """Whether a field of this name is always masked."""
    return _SENSITIVE.search(name.replace("-", "_")) is not None


def masked(value: Any, *, depth: int = 0) -> Any:
    """A value to log, masked at every depth. An object that is no plain value becomes its masked `repr`."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, int):
        return value if len(str(abs(value))) not in {10, 11, 12} else "[number]"
    if depth >= MAX_DEPTH:
        return "[deep]"
    if isinstance(value, Mapping):
        return {_key(name): _of_field(str(name), item, depth) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(item, depth=depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return masked_text(bytes(value).decode("utf-8", "replace"))
    return masked_text(_safely(repr, value))


def _of_field(name: str, item: Any, depth: int) -> Any:
    # A name may itself be an address: it is tested both before and after masking.
    is_hidden = is_sensitive(name) or is_sensitive(_key(name))
    return MASK if item not in (None, "") and is_hidden else masked(item, depth=depth + 1)


def _key(name: Any) -> str:
    return masked_text(str(name))


def _safely(shown: Callable[[Any], str], value: Any) -> str:
    try:
        return shown(value)
    except Exception as error:  # noqa: BLE001 - the line is written even if an object's repr fails
        return f"<{type(value).__name__}: {type(error).__name__}>"
