"""OPC UA: the station as a server, in a namespace of its own and the shape of OPC 40100-1, Machine Vision."""

from __future__ import annotations

import hmac
import json
import logging
import threading
import uuid
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.core.errors import MissingExtraError, SettingError, SinkError
from sightline.core.signals import Command, CommandKind, ErrorCode, Signal, Status
from sightline.devices.credentials import LOOPBACK, Secret
from sightline.devices.link import Health, Link
from sightline.devices.loop import Loop
from sightline.devices.outbox import Courier, MemoryBox, Message
from sightline.devices.sinks.opcua_model import NAMESPACE, RESULTS, Call, Model
from sightline.devices.sinks.port import Inbox, SinkSettings, read_command

START_S, CALL_S = 30.0, 5.0
UNTOLD = "the station has not reported its status yet"
COMMANDS = {
    "StartSingleJob": "trigger",
    "StartContinuous": "continuous",
    "Stop": "stop",
    "Abort": "abort",
    "PrepareRecipe": "recipe",
    "UnprepareRecipe": "unprepare",
    "Reset": "reset",
    "ConfirmAll": "reset",
}


class Settings(SinkSettings):
    """An OPC UA server."""

    role: ClassVar[Literal["sink", "either", "controller"]] = "either"
    kind: Literal["opcua"] = "opcua"
    host: str = Field("127.0.0.1", description="address to listen on; another one needs user and certificate")
    port: int = Field(4840, ge=0, le=65535, description="port to listen on; 0: any free one")
    station: str = Field("Station", min_length=1, max_length=64, description="browse name of the vision system")
    user: str = Field("", description="user who may connect; empty: anybody")
    password: Secret | None = Field(None, description="where the user's password is stored")
    certificate: Path | None = Field(
        None, description="PEM or DER file of the server's certificate; enables encryption"
    )
    private_key: Path | None = Field(None, description="PEM file of the certificate's key")
    commands: bool = Field(True, description="accept commands to the station: jobs, Stop, Abort, recipes, Reset")
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
        self._asyncua = load_library()
        self._settings, self._inbox, self._status = settings, inbox, status
        self._prepared = self._started = ""  # the recipe that a client prepared last; a part that waits for its result
        self._run = ""  # a job of parts without triggers that the station has not shown yet
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
        if values["PartId"] == self._started:
            self._started = ""

    def show(self, status: Status | None, halted: bool = False) -> None:
        """Show the station's status; returns at once."""
        self._status = status
        if status is None or status.continuous or not status.ready or status.not_begun == self._run:
            self._run = ""
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
        self._model = await build_model(ua, server, s.station, self._call)
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

    async def _call(self, method: str, given: Mapping[str, Any]) -> list[Any]:
        """Values of a method's outputs; the last two are an ErrorCode, 0 for taken, and what it is in words."""
        if method == "GetResultById":
            content = self._model.result(given["ResultId"])
            gone = f"no result {given['ResultId']!r} is kept: the last {RESULTS} are"
            return ["", -1, gone] if content is None else [content, 0, ""]
        if method == "GetResultListFiltered":
            wanted = {name: value for name, value in given.items() if name not in ("MaxResults", "StartIndex")}
            return _page(self._model.results(wanted), given)
        if method == "GetRecipeListFiltered":
            return _page(_recipes(self._status, given), given)
        if method == "SelectModeAutomatic":  # the only mode there is
            return [0, ""] if self._status is not None else [int(ErrorCode.NOT_READY), UNTOLD]
        wanted = {"command": COMMANDS.get(method, "")}
        # A part or run without an id gets one here, so that its job has a name.
        wanted["part_id"] = given.get("PartId") or uuid.uuid4().hex[:12]
        wanted["recipe"] = given.get("RecipeId") or given.get("ExternalId", "")
        command = read_command(wanted) if self._settings.commands else None
        error, reason = self._take(method, command)
        if method in ("StartSingleJob", "StartContinuous"):
            return [command.part_id if command is not None and not error else "", int(error), reason]
        if method == "PrepareRecipe":
            calls = {} if self._status is None else self._status.calls
            return [calls[command.recipe] if command is not None and not error else "", int(error), reason]
        return [int(error), reason]

    def _take(self, method: str, command: Command | None) -> tuple[int, str]:
        """Hand a command to the station; 0 exactly where it will be obeyed, else an ErrorCode and why."""
        status = self._status
        if not self._settings.commands:
            return ErrorCode.NOT_READY, "no commands are accepted here: the station has another controller"
        if status is None or status.error == ErrorCode.CANNOT_START:
            return ErrorCode.NOT_READY if status is None else status.error, UNTOLD if status is None else status.reason
        if method in ("PrepareRecipe", "UnprepareRecipe") and (command is None or not command.recipe):
            return ErrorCode.UNKNOWN_RECIPE, "ExternalId is empty: give a recipe's name, number or barcode"
        if command is None:
            return ErrorCode.NOT_READY, f"{method} is not possible: the station ends with its program"
        unknown = command.recipe not in status.calls
        refusal = self._refusal(status, command)
        if refusal is not None:
            return refusal
        if not self._put(status, command):
            return ErrorCode.NOT_READY, "too many commands are waiting. Try again"
        if command.kind is CommandKind.RECIPE and unknown:  # the station has to know, too: now none is active
            none = f"no recipe is called {command.recipe!r}, and none is active now"
            return ErrorCode.UNKNOWN_RECIPE, f"{none}. Known: {', '.join(status.recipes) or 'none'}"
        return 0, ""

    def _refusal(self, status: Status, command: Command) -> tuple[int, str] | None:
        """Why the station cannot obey now; None where it will."""
        if command.kind is CommandKind.UNPREPARE:
            named = status.calls.get(command.recipe)
            # One that was prepared a moment ago is active by the time that this is obeyed.
            if named is None or named not in (status.recipe, self._prepared):
                active = f"{status.recipe} is active" if status.recipe else "none is active"
                return ErrorCode.OTHER_RECIPE, f"{command.recipe!r} is not the active recipe: {active}"
        if command.kind not in (CommandKind.TRIGGER, CommandKind.CONTINUOUS):
            return None
        job = self._started or self._run  # the station may not have said yet that it is busy
        refusal = (ErrorCode.TRIGGER_OVERRUN, f"job {job} is under way") if job else _not_ready(status, command)
        if refusal is not None and command.kind is CommandKind.TRIGGER:
            self._inbox.put(replace(command, kind=CommandKind.REFUSED))
        return refusal

    def _put(self, status: Status, command: Command) -> bool:
        """Hand a command to the station. What it will show by and by is remembered first: it may be quick."""
        before = self._started, self._run, self._prepared
        if command.kind is CommandKind.TRIGGER:
            self._started = command.part_id
        elif command.kind is CommandKind.CONTINUOUS:
            self._run = command.part_id
        elif command.kind in (CommandKind.STOP, CommandKind.ABORT):
            self._run = ""
        elif command.kind is CommandKind.RECIPE:
            self._prepared = status.calls.get(command.recipe, "")
        if self._inbox.put(command):
            return True
        self._started, self._run, self._prepared = before
        return False


class OpcuaSink:
    """The station as an OPC UA server. A Sink and a Controller; `port` is the one it listens on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inbox = Inbox()
        self.wait, self.on_abort = self._inbox.wait, self._inbox.on_abort
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
        return self._courier.health(self._link)

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


def _not_ready(status: Status, command: Command) -> tuple[int, str] | None:
    """Why parts cannot be inspected now, or not with the requested recipe; None where they can."""
    if command.kind is CommandKind.CONTINUOUS and status.not_continuous:
        return ErrorCode.NOT_CONTINUOUS, status.not_continuous
    if status.busy or status.continuous:
        return ErrorCode.TRIGGER_OVERRUN, f"job {status.job} is under way"
    if not status.ready:
        return ErrorCode.NOT_READY, status.reason or "no recipe is active. Prepare one"
    if command.kind is CommandKind.CONTINUOUS and status.error == ErrorCode.BLOCKED:
        return ErrorCode.BLOCKED, status.reason
    requested = status.calls.get(command.recipe)
    if not command.recipe or requested == status.recipe:
        return None
    if requested is None:
        return ErrorCode.UNKNOWN_RECIPE, f"no recipe is called {command.recipe!r}"
    return ErrorCode.OTHER_RECIPE, f"{status.recipe} is active, and the job asks for {requested}. Prepare it first"


def _recipes(status: Status | None, given: Mapping[str, Any]) -> list[str]:
    """Names of the recipes that a filter lets through. IsPrepared: 0 no, 1 yes, else whichever (TriStateBoolean)."""
    if status is None:
        return []
    requested, prepared = given["ExternalId"], given["IsPrepared"]
    return [
        name
        for name in status.recipes
        if requested in ("", name) or status.calls.get(requested) == name
        if prepared not in (0, 1) or (name == status.recipe) == bool(prepared)
    ]


def _page(found: list[str], given: Mapping[str, Any]) -> list[Any]:
    """IsComplete, ResultCount and the names from StartIndex on, at most MaxResults (0: all) as a JSON list."""
    start, most = given["StartIndex"], given["MaxResults"]
    names = found[start : start + most] if most else found[start:]
    return [start + len(names) >= len(found), len(names), json.dumps(names), 0, ""]


def _result(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of ResultReadyEventType. ResultState: 1 completed, 3 aborted, 4 failed (OPC 40100-1)."""
    failed = 3 if values["error"] == ErrorCode.ABORTED else 4
    return {
        "ResultId": values["key"],
        "PartId": values["part_id"],
        "ExternalRecipeId": values["recipe"],
        "JobId": values["job"] or values["part_id"],
        "IsPartial": False,
        "IsSimulated": False,
        "ResultState": 1 if values["valid"] else failed,
        "ResultContent": json.dumps(values),
    }


async def build_model(ua: Any, server: Any, station: str, call: Call) -> Model:
    """The station's nodes on an asyncua server."""
    model = Model(ua, server, await server.register_namespace(NAMESPACE))
    await model.build(station, call)
    return model


def load_library(*modules: str) -> Any:
    """The library, with these of its modules. Raises MissingExtraError."""
    try:
        import asyncua
    except ModuleNotFoundError as error:
        raise MissingExtraError("asyncua", "opcua") from error
    # The library logs every session; what matters is told by the station.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    for name in modules:
        import_module(f"asyncua.{name}")
    return asyncua


def open_sink(settings: Settings) -> OpcuaSink:
    """Begin to serve. Raises MissingExtraError without asyncua."""
    return OpcuaSink(settings)
