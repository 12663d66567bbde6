"""The files of this folder, read: whatever they hold, or the numbers of a YAML as typed values.

Such a YAML has entries `section: name: {value, unit, source}`, and a `version`. A frozen dataclass per section and one
of all sections say which names there are and what type each value has; units and sources stay in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib import resources
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from plumewatch.errors import InputError

ENTRY = {"value", "unit", "source"}
VERSION = "version"  # the one name that has no unit and no source

Values = TypeVar("Values")


def read_reference(file: str) -> Any:
    """Return what a file of this folder holds: parsed where it is a .json or .yaml, else its text."""
    text = resources.files("plumewatch.reference").joinpath(file).read_text(encoding="utf-8")
    if file.endswith(".json"):
        return json.loads(text)
    return yaml.safe_load(text) if file.endswith(".yaml") else text


def load_values(kind: type[Values], file: str) -> Values:
    """Return the values of a YAML of this folder as the dataclass `kind`; InputError as `typed_values`."""
    return typed_values(kind, read_reference(file), file)


def typed_values(kind: type[Values], content: Any, file: str) -> Values:
    """Return the values of a file's content as the dataclass `kind`.

    A field is a dataclass or a Mapping of names that are free for a section, else the type of a value: str, int, float,
    and tuples and Mappings of them. A whole number may stand for a float and stays as it is written.

    Raises InputError, naming the file, where names or types are not those of the dataclass.
    """
    values: Values = _typed(kind, content, file, "")
    return values


def _typed(kind: Any, found: Any, file: str, name: str) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        names = found.keys() if isinstance(found, Mapping) else set()
        if names != hints.keys():
            wrong = {"lacks": hints.keys() - names, "has unknown": names - hints.keys()}
            what = " and ".join(f"{verb} {', '.join(sorted(map(str, some)))}" for verb, some in wrong.items() if some)
            raise InputError(file, f"{name or 'the file'} {what}", f"exactly {', '.join(hints)}")
        return kind(**{one: _typed(hint, found[one], file, f"{name}.{one}".strip(".")) for one, hint in hints.items()})
    is_entry = isinstance(found, Mapping) and found.keys() == ENTRY
    if get_origin(kind) is Mapping and isinstance(found, Mapping) and not is_entry:
        return {str(one): _typed(get_args(kind)[1], entry, file, f"{name}.{one}") for one, entry in found.items()}
    if not is_entry and name != VERSION:
        raise InputError(file, f"{name} is {found!r}", f"{name}: {{value, unit, source}}")
    value = _with_tuples(found["value"] if is_entry else found)
    if not _is_of(kind, value):
        raise InputError(file, f"{name} is {value!r}", kind.__name__ if isinstance(kind, type) else str(kind))
    return value


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _is_of(kind: Any, value: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _is_of(parts[0], one) and _is_of(parts[1], part) for one, part in value.items()
        )
    if origin is tuple:
        kinds = parts[:1] * len(value) if isinstance(value, tuple) and parts[-1] is Ellipsis else parts
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is_of, kinds, value))
    return type(value) is kind or (kind is float and type(value) is int)
