"""Secrets: settings name where a password lies, they never hold it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightline.core.errors import SettingError


class Secret(BaseModel):
    """Where a password or key is read from: an environment variable or a file, one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str = Field("", description="name of the environment variable that holds the secret")
    file: Path | None = Field(
        None, description="file that holds the secret; spaces and line ends around it do not count"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Secret:
        if bool(self.env) == (self.file is not None):
            raise ValueError("name one place of the secret: either env or file")
        return self

    def read(self) -> str:
        """The secret. Raises SettingError where it is missing or empty; the message never holds it."""
        if self.file is None:
            value, place = os.environ.get(self.env, ""), f"the environment variable {self.env}"
        else:
            place = f"the file {self.file}"
            try:
                value = self.file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingError(f"{place} cannot be read. Write the secret into it, as UTF-8 text") from error
        if not value.strip():
            raise SettingError(f"{place} holds no secret. Set it before the station starts")
        return value.strip()
