"""TLS for connections that the station opens."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightline.core.errors import SettingError

LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


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
        None, description="PEM file of who signed its certificate; without it, the system's list"
    )
    certificate: Path | None = Field(
        None, description="PEM file of the station's own certificate, where one is asked for"
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
                f"the files of tls cannot be used ({error}). Check their paths, form and rights"
            ) from error
        return context
