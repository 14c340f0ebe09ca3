"""OPC UA: the station as a server in the shape of OPC 40100-1, Machine Vision."""

from __future__ import annotations

import hmac
import json
import logging
import threading
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from sightline.core.command import Command, CommandKind
from sightline.core.errors import MissingExtraError, SettingError, SinkError
from sightline.core.fault import ErrorCode
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.devices.courier import Courier, MemoryBox
from sightline.devices.health import Health
from sightline.devices.link import Link
from sightline.devices.loop import Loop
from sightline.devices.outbox import Message
from sightline.devices.secret import Secret
from sightline.devices.sinks.inbox import Inbox, read_command
from sightline.devices.sinks.opcua_model import NAMESPACE, Model
from sightline.devices.sinks.settings import SinkSettings
from sightline.devices.tls import LOOPBACK

START_S, CALL_S = 30.0, 5.0


class Settings(SinkSettings):
    """An OPC UA server."""

    kind: Literal["opcua"] = "opcua"
    host: str = Field("127.0.0.1", description="address to listen on; another one needs user and certificate")
    port: int = Field(4840, ge=0, le=65535, description="port to listen on; 0: any free one")
    station: str = Field("Station", min_length=1, max_length=64, description="browse name of the vision system")
    user: str = Field("", description="user who may connect; empty: anybody")
    password: Secret | None = Field(None, description="where the user's password lies")
    certificate: Path | None = Field(
        None, description="PEM or DER file of the server's certificate: then all is encrypted"
    )
    private_key: Path | None = Field(None, description="PEM file of the certificate's key")
    commands: bool = Field(True, description="take StartSingleJob, PrepareRecipe, UnprepareRecipe and Reset")
    waiting_max: int = Field(
        1000, ge=1, le=100_000, description="results that may wait for the server; more are refused"
    )

    @model_validator(mode="after")
    def _guarded(self) -> Settings:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password belong together: set both or none")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together: set both or none")
        if self.host not in LOOPBACK and not (self.user and self.certificate):
            raise ValueError("host is reachable from other machines: set user, password, certificate and private_key")
        return self


class OpcuaServer:
    """A running server with the station's nodes. `port` is the one it listens on."""

    def __init__(self, settings: Settings, inbox: Inbox, status: Status | None) -> None:
        self._asyncua = _import()
        self._settings, self._inbox, self._status = settings, inbox, status
        self._password = settings.password.read() if settings.password else ""
        self._loop = Loop(f"opcua server {settings.host}:{settings.port}")
        try:
            self.port = self._loop.run(self._start(), START_S)
        except (SinkError, SettingError):
            self._loop.close()
            raise
        except (OSError, ValueError) as error:
            self._loop.close()
            raise SinkError(
                f"cannot serve OPC UA on {settings.host}:{settings.port} ({error}). Choose another port"
            ) from error

    def present(self, values: dict[str, Any]) -> None:
        """Make a result readable and tell of it."""
        self._loop.run(self._model.present(values), CALL_S)

    def show(self, status: Status | None, halted: bool = False) -> None:
        """Show the station's status; returns at once."""
        self._status = status
        self._loop.start(self._model.show(status, halted))

    def close(self) -> None:
        """Stop to serve."""
        try:
            self._loop.run(self._server.stop(), CALL_S)
        finally:
            self._loop.close()

    async def _start(self) -> int:
        s, asyncua = self._settings, self._asyncua
        ua = asyncua.ua
        server = self._server = asyncua.Server(user_manager=self)
        await server.init()
        server.set_endpoint(f"opc.tcp://{s.host}:{s.port}/sightline/")
        server.set_server_name("Sightline")
        if s.user:
            server.set_identity_tokens([ua.UserNameIdentityToken])
        else:
            server.set_identity_tokens([ua.AnonymousIdentityToken])
        if s.certificate is not None:
            try:
                await server.load_certificate(s.certificate)
                await server.load_private_key(s.private_key)
            except (OSError, ValueError) as error:
                raise SettingError(
                    f"sink {s.name}: certificate or private_key cannot be read. Check both files"
                ) from error
            server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        else:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        self._model = Model(ua, server, index)
        await self._model.build(s.station, self._call)
        await server.start()
        await self._model.show(self._status, False)
        return int(server.bserver._server.sockets[0].getsockname()[1])

    def get_user(self, _server: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        """The library's question who may connect: its User, or None."""
        from asyncua.crypto.permission_rules import User, UserRole

        if not self._settings.user:
            return User(role=UserRole.User)
        same = hmac.compare_digest(str(username).encode(), self._settings.user.encode())
        same &= hmac.compare_digest(str(password).encode(), self._password.encode())
        return User(role=UserRole.User, name=self._settings.user) if same else None

    async def _call(self, method: str, texts: list[str]) -> list[Any]:
        """Answers of a method; the last one is an ErrorCode, 0 for taken."""
        if method == "GetResultById":
            content = self._model.result(texts[0])
            return ["", -1] if content is None else [content, 0]
        wanted: dict[str, dict[str, str]] = {
            "StartSingleJob": {"command": "trigger", "part_id": texts[0] if texts else ""},
            "PrepareRecipe": {"command": "recipe", "recipe": texts[0] if texts else ""},
            "UnprepareRecipe": {"command": "unprepare", "recipe": texts[0] if texts else ""},
            "Reset": {"command": "reset"},
        }
        command = read_command(wanted.get(method, {})) if self._settings.commands else None
        error = self._take(command, texts)
        if method == "StartSingleJob":
            return [command.part_id if command is not None and not error else "", error]
        return [texts[0] if not error else "", error] if method == "PrepareRecipe" else [error]

    def _take(self, command: Command | None, texts: list[str]) -> int:
        status = self._status
        if command is None:
            return int(ErrorCode.NOT_READY)
        if command.kind is CommandKind.TRIGGER:
            if status is None or not status.ready:
                return int(ErrorCode.TRIGGER_OVERRUN if status is not None and status.busy else ErrorCode.NOT_READY)
            if texts[1] and texts[1] != status.recipe:
                return int(ErrorCode.UNKNOWN_RECIPE)  # no part is judged with another recipe than was asked for
        return 0 if self._inbox.put(command) else int(ErrorCode.NOT_READY)


class OpcuaSink:
    """The station as an OPC UA server. A Sink and a Controller; `port` is the one it listens on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inbox = Inbox()
        self._box = MemoryBox(settings.waiting_max)
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._link = Link(f"sink {settings.name}", self._serve, lambda server: server.close(), settings.backoff)
        self._courier = Courier(settings.name, self._box, self._deliver, settings.backoff)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while there is none."""
        server = self._link.get(0)
        return 0 if server is None else server.port

    def send(self, signal: Signal) -> None:
        """Have one result made readable. Raises SinkError where too many wait."""
        self._courier.send(signal)

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command of a client."""
        return self._inbox.wait(timeout_ms)

    def show(self, status: Status) -> None:
        """Show the status in the state machine."""
        with self._lock:
            if status == self._status:
                return
            self._status = status
        server = self._link.get(0)
        if server is not None:
            server.show(status)

    def health(self) -> Health:
        """Whether the server serves."""
        return Health(
            connected=self._link.connected,
            reconnects=self._link.reconnects,
            waiting=len(self._box),
            failures=self._courier.failures,
            error=self._link.error or self._courier.error,
        )

    def close(self) -> None:
        """Show Halted and stop to serve."""
        self._courier.close()
        server = self._link.get(0)
        if server is not None:
            server.show(self._status, halted=True)
        self._link.close()

    def _serve(self) -> OpcuaServer:
        return OpcuaServer(self._settings, self._inbox, self._status)

    def _deliver(self, messages: list[Message] | Any) -> int:
        server = self._link.get(1.0)
        if server is None:
            raise SinkError(f"the OPC UA server does not run: {self._link.error}")
        for count, message in enumerate(messages):
            try:
                server.present(_result(json.loads(message.body)))
            except SinkError as error:
                self._link.lost(server, str(error))
                return count
        return len(messages)


def _result(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of ResultReadyEventType. ResultState: 1 completed, 4 failed (OPC 40100-1, ResultStateDataType)."""
    return {
        "ResultId": values["key"],
        "PartId": values["part_id"],
        "ExternalRecipeId": values["recipe"],
        "JobId": values["part_id"],
        "IsPartial": False,
        "IsSimulated": False,
        "ResultState": 1 if values["valid"] else 4,
        "ResultContent": json.dumps(values),
    }


def _import() -> Any:
    try:
        import asyncua
    except ModuleNotFoundError as error:
        raise MissingExtraError("asyncua", "opcua") from error
    # The library logs every session; what matters is told by the station.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    return asyncua


def open_sink(settings: Settings) -> OpcuaSink:
    """Begin to serve. Raises MissingExtraError without asyncua."""
    return OpcuaSink(settings)
