"""A choice from a table: the kind named by settings, and its settings checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sightline.core.errors import SettingError


def read_settings(values: Mapping[str, Any], table: Mapping[str, str], what: str) -> BaseModel:
    """Settings of the `what` ("camera", "sink") that `values["kind"]` names in `table`. Raises SettingError."""
    kind = str(values.get("kind", ""))
    if kind not in table:
        raise SettingError(f"no {what} is of kind {kind!r}. Choose one of: {', '.join(table)}")
    try:
        model: type[BaseModel] = import_module(table[kind]).Settings
        settings = model.model_validate(dict(values))
    except ValidationError as error:
        raise SettingError(f"{what} {values.get('name', kind)}: {describe(error, model)}") from None
    return settings


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong with settings of `model`, with the right name beside one that is not known."""
    # Values are left out: one may be a secret that was put in the wrong place.
    parts = []
    for item in error.errors():
        setting = ".".join(map(str, item["loc"])) or "settings"
        names = item["type"] == "extra_forbidden" and _names(model, item["loc"])
        parts.append(f"{setting}: {_unknown(str(item['loc'][-1]), names) if names else item['msg']}")
    return "; ".join(parts) + ". Correct the settings"


def _unknown(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"there is no such setting. Did you mean {near[0]}?" if near else f"the only ones are {', '.join(names)}"


def _names(model: type[BaseModel], path: tuple[int | str, ...]) -> Sequence[str]:
    """The settings that there are where `path` lies; none where nobody can tell."""
    for key in path[:-1]:
        if isinstance(key, int):
            continue
        field = model.model_fields.get(key)
        within = [] if field is None else list(_models(field.annotation))
        if not within:
            return ()
        model = within[0]
    return tuple(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
