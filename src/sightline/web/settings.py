"""Settings of the web app, and what keeps it from being reached by the wrong people."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sightline.core.errors import SettingError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class WebSettings(BaseModel):
    """Everything about one server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; by default loopback")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0: any free one")
    certificate: Path | None = Field(None, description="PEM file of the certificate, for TLS")
    private_key: Path | None = Field(None, description="PEM file of the certificate's key")
    behind_proxy: bool = Field(False, description="a proxy on this machine or network terminates TLS")
    allow_hosts: tuple[str, ...] = Field((), description="names by which browsers address this server")
    folder: Path = Field(Path("sightline-work"), description="folder for files of jobs: reports, imports, pictures")
    worker: bool = Field(True, description="start a worker for jobs beside the server")
    idle_minutes: float = Field(
        30.0, gt=0, le=1440, description="a user is logged out after this time without a request"
    )
    session_hours: float = Field(12.0, gt=0, le=168, description="a user must log in again after this time")
    pin_switch: bool = Field(False, description="operators may take over a shared screen with a PIN")
    body_mb: float = Field(64.0, gt=0, le=2048, description="largest request; an image that is inspected fits in it")
    import_mb: float = Field(4096.0, gt=0, le=1_000_000, description="largest archive that can be imported")
    logins_per_minute: int = Field(30, ge=1, le=10_000, description="login attempts from one address")
    free_mb: float = Field(
        500.0, ge=0, description="of free disk, below which nothing is taken from stations that send over HTTP"
    )
    inspect_at_once: int = Field(2, ge=1, le=64, description="batches of uploaded images that are inspected at once")
    recipes_open: int = Field(3, ge=1, le=64, description="recipes that are kept open for uploaded images")
    batch: int = Field(1, ge=1, le=64, description="most uploaded images of a recipe that are inspected together")
    batch_wait_ms: float = Field(
        5.0, ge=0, le=1000, description="time that an uploaded image waits for others to be inspected with"
    )
    waiting: int = Field(32, ge=1, le=10_000, description="uploaded images of a recipe that may wait; others: 429")
    repeat_every: int = Field(
        25, ge=0, le=10_000, description="one of this many answers brings the part again; 0: none"
    )
    challenge_every: int = Field(
        25, ge=0, le=10_000, description="one of this many answers brings a known part; 0: none"
    )
    threads: int = Field(2, ge=1, le=256, description="processor threads of one inspection")
    live_per_second: float = Field(
        10.0, gt=0, le=60, description="maximum pictures per second of a station that a viewer gets"
    )

    @classmethod
    def parse(cls, values: dict[str, object]) -> WebSettings:
        """Settings from names and values. Raises SettingError, which names every one that is wrong."""
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
            raise SettingError(f"the server's settings are wrong: {'; '.join(told)}. Correct them") from None
        settings._check()
        return settings

    @property
    def tls(self) -> bool:
        """Whether this process speaks TLS."""
        return self.certificate is not None

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS, here or at the proxy: cookies are for that way only."""
        return self.tls or self.behind_proxy

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that are answered, without ports: any other one is a foreign site's name that points here."""
        own = () if _is_wildcard(self.host) else (f"[{self.host}]" if ":" in self.host else self.host,)
        return frozenset(name.lower() for name in (*LOOPBACK, *own, *self.allow_hosts))

    def _check(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise SettingError("certificate and private_key belong together. Give both or none")
        for path in (self.certificate, self.private_key):
            if path is not None and not path.is_file():
                raise SettingError(f"{path}: is not there. Correct the path")
        if not _is_loopback(self.host) and not self.secure:
            raise SettingError(
                f"{self.host} is reached by others, and passwords would be sent in the clear. Give --certificate and "
                "--private-key, or --behind-proxy if a proxy terminates TLS"
            )
        if (_is_wildcard(self.host) or self.behind_proxy) and not self.allow_hosts:
            raise SettingError("name the server as browsers will address it: --allow-host inspection.example.com")


def is_own(host: str) -> bool:
    """Whether a Host, with or without its port, is what only this machine itself calls the server."""
    return re.sub(r":\d*$", "", host).lower() in LOOPBACK


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
