"""Secrets and TLS: settings name where a password or key lies, they never hold it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightline.core.errors import SettingError

LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


class Secret(BaseModel):
    """Where a password or key is read from: an environment variable or a file, one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str = Field("", description="name of the environment variable that holds the secret")
    file: Path | None = Field(
        None, description="file that holds the secret; surrounding spaces and line ends are ignored"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Secret:
        if bool(self.env) == (self.file is not None):
            raise ValueError("give the secret's place: either env or file")
        return self

    def read(self) -> str:
        """The secret. Raises SettingError where it is missing or empty; the message never holds it."""
        if self.file is None:
            value, origin = os.environ.get(self.env, ""), f"the environment variable {self.env}"
        else:
            origin = f"the file {self.file}"
            try:
                value = self.file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingError(f"{origin} cannot be read. Write the secret into it, as UTF-8 text") from error
        if not value.strip():
            raise SettingError(f"{origin} holds no secret. Set it before the station starts")
        return value.strip()


class ClosingSocket(ssl.SSLSocket):
    """Closes itself where the handshake fails: not every library does, and attempts repeat."""

    def do_handshake(self, block: bool = False) -> None:
        """The handshake."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Tls(BaseModel):
    """How the other side is checked, and what the station shows of itself. The other side is always checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed its certificate; empty: the system's list"
    )
    certificate: Path | None = Field(
        None, description="PEM file of the station's own certificate, if the other side requires one"
    )
    private_key: Path | None = Field(None, description="PEM file of the own certificate's key")

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together: set both or none")
        return self

    def context(self) -> ssl.SSLContext:
        """The client's side of TLS 1.2 or newer. Raises SettingError where a file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
            context.sslsocket_class = ClosingSocket
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(str(self.certificate), str(self.private_key))
        except (OSError, ssl.SSLError) as error:
            raise SettingError(
                f"the files of tls cannot be used ({error}). Check their paths, format and permissions"
            ) from error
        return context
