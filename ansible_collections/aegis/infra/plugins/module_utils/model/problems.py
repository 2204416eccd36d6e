# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory, told so that it can be mended at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from .origin import origin_of

# A value below a key with one of these words is never shown.
_SECRET_WORDS = ("pass", "pwd", "auth", "jaas", "token", "secret_key", "access_key", "private_key", "api_key")
# Nor is a value that holds a URL's user or a password itself.
_SECRET_VALUE = re.compile(r"://[^/\s]*@|passw", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """One wrong value.

    path: the variable and the keys below it, for example ("aegis_kafka", "topics", 0, "name").
    message: what is allowed. origin: "file:line", or "" where Ansible does not tell it.
    """

    path: tuple[str | int, ...]
    message: str
    origin: str = ""
    value: str = ""

    @property
    def variable(self) -> str:
        """The path as people write it: aegis_kafka.topics[0].name"""
        head, *rest = self.path
        return str(head) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)

    def __str__(self) -> str:
        value = f" is {self.value}" if self.value else ""
        where = f"\n      at {self.origin}" if self.origin else ""
        return f"{self.variable}{value}: {self.message}{where}"


def problem_at(data: dict[str, Any], path: tuple[str | int, ...], message: str, *, show: bool = True) -> Problem:
    """A problem with the value at `path` of `data`, with its place and, if `show`, a printable form of it."""
    value, origin, exists = _look_up(data, path)
    shown = "" if not (show and exists) or isinstance(value, (dict, list)) else _printable(path, value)
    return Problem(path, message, origin, shown)


def from_validation_error(data: dict[str, Any], section: str, model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Every problem pydantic found in one section."""
    found = []
    for entry in error.errors(include_url=False, include_context=False):
        path = (section, *(part for part in entry["loc"] if part != "[key]"))  # what pydantic adds for the key of a dict
        found.append(problem_at(data, path, _message(entry, model, path), show=entry["type"] != "extra_forbidden"))
    return found


def _message(entry: Any, model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    if entry["type"] == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(path[-1]), _known_keys(model, path[1:-1]))}"
    if entry["type"] == "missing":
        return "is missing and has no default; add it"
    if entry["type"] in ("model_type", "dict_type"):
        return "should be a dictionary"
    if entry["type"] == "string_type":
        return "should be text; quote what YAML reads as something else"
    return entry["msg"].removeprefix("Value error, ").replace("Input should", "should")


def did_you_mean(name: str, known: list[str]) -> str:
    """The known name nearest to an unknown one, and all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"{hint}known here: {', '.join(known)}"


def _known_keys(model: Any, path: Iterable[str | int]) -> list[str]:
    """The keys that the model reached by `path` accepts."""
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            if part not in model.model_fields:
                continue  # an index of a list, or a name the user chose
            model = _model_in(model.model_fields[str(part)].annotation)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return sorted(model.model_fields)
    return []


def _model_in(annotation: Any) -> Any:
    """The model inside an annotation such as `list[Taint]`, `dict[str, NodeConfig]` or `Storage | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in reversed(getattr(annotation, "__args__", ())):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _look_up(data: Any, path: tuple[str | int, ...]) -> tuple[Any, str, bool]:
    """(value, origin, whether it exists); the origin of the nearest parent where the value has none.

    Ansible cannot tag true, false and null, and a dictionary merged from several files has the origin of the first.
    Lists are never merged.
    """
    origin, merged = "", False
    for index, part in enumerate(path):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None, origin, False
        own = origin_of(data)
        origin, merged = own or origin, not own and not any(isinstance(above, int) for above in path[: index + 1])
    return data, f"{origin} or in a file merged into it" if origin and merged else origin, True


def _printable(path: tuple[str | int, ...], value: Any) -> str:
    if any(word in str(part).lower() for part in path for word in _SECRET_WORDS):
        return "(hidden)"
    if _SECRET_VALUE.search(str(value)):
        return "(hidden)"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
