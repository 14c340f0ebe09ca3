"""A choice from a table: the kind named by settings, and its settings checked."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError

from sightline.core.errors import SettingError


def read_settings(values: Mapping[str, Any], table: Mapping[str, str], what: str) -> BaseModel:
    """Settings of the `what` ("camera", "sink") that `values["kind"]` names in `table`. Raises SettingError."""
    kind = str(values.get("kind", ""))
    if kind not in table:
        raise SettingError(f"no {what} is of kind {kind!r}. Choose one of: {', '.join(table)}")
    try:
        settings: BaseModel = import_module(table[kind]).Settings.model_validate(dict(values))
    except ValidationError as error:
        raise SettingError(f"{what} {values.get('name', kind)}: {_describe(error)}") from None
    return settings


def _describe(error: ValidationError) -> str:
    # Values are left out: one may be a secret that was put in the wrong place.
    parts = [f"{'.'.join(str(key) for key in item['loc']) or 'settings'}: {item['msg']}" for item in error.errors()]
    return "; ".join(parts) + ". Correct the settings"
