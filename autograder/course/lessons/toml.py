"""Write TOML as the course's own files are written: dotted keys for small tables, [[table]] for lists of tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def written(table: Mapping[str, Any], path: str = "") -> str:
    """Write a table of texts, numbers, truth values, lists of them, small tables and lists of tables.

    Reading it with tomllib gives the table back. A key is a bare key of TOML: letters, digits, `_` and `-`. A small
    table holds something, and no list of tables.
    """
    simple = {key: value for key, value in table.items() if not _is_tables(value)}
    parts = ["".join(f"{key} = {_value(value)}\n" for key, value in _flat(simple))]
    for key, value in table.items():
        if _is_tables(value):
            inner = f"{path}.{key}".removeprefix(".")
            parts += [f"[[{inner}]]\n{written(item, inner)}" for item in value]
    return "\n".join(part for part in parts if part)


def _is_tables(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], Mapping)


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # JSON's escapes are TOML's; only DEL, which JSON leaves as it is, must not stand in a TOML text.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"TOML here holds texts, numbers, truth values, lists and tables, got {type(value).__name__}")
