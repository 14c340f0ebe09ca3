"""Settings of a station: one TOML file, checked before anything is opened."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from sightline.core.errors import SettingError
from sightline.core.result import Verdict
from sightline.devices.cameras.table import own_files, read_camera
from sightline.devices.choice import describe
from sightline.devices.credentials import LOOPBACK, Secret, Tls
from sightline.devices.link import Backoff
from sightline.devices.sinks.table import in_role, keeps_messages, read_sink
from sightline.line.collection import Keep
from sightline.line.decision import Rule

Digits = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{16,64}$")]
SHADOW = " (shadow)"  # ends the name under which the inspection worker has a recipe's shadow


class Settings(BaseModel):
    """Base of all: no unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(Settings):
    """One camera that looks at the part."""

    name: str = Field("view", min_length=1, max_length=64, description="name in records and recipes")
    camera: dict[str, Any] = Field(description="kind of the camera and its settings (docs/how-to/cameras)")
    mm_per_px: float | None = Field(
        None, gt=0, description="measured with sightline calibrate; none: the recipe's own, if it has one"
    )


class RecipeEntry(Settings):
    """One recipe that the station can inspect with; all are loaded at the start."""

    name: str = Field(min_length=1, max_length=64, description="name for the machine, people and records")
    id: int = Field(ge=1, le=65_535, description="the number by which a PLC selects it")
    file: Path | None = Field(None, description="recipe file of every view")
    files: dict[str, Path] = Field(default_factory=dict, description="recipe file by view, where they differ")
    shadow: Path | None = Field(None, description="a second recipe that inspects the same parts and sends no signals")
    barcodes: tuple[str, ...] = Field((), description="codes on the product that select this recipe")
    product: str | None = Field(
        None, min_length=1, description="the product that its card must name; none: with public_key, the name above"
    )
    created_since: datetime | None = Field(None, description="refuse recipes that were made earlier than this time")

    @model_validator(mode="after")
    def _one_way(self) -> RecipeEntry:
        if (self.file is None) == (not self.files):
            raise ValueError(f"recipe {self.name}: give either file, or files by view")
        if self.name.endswith(SHADOW):
            raise ValueError(f"recipe {self.name}: this name is used for shadows. Choose another name")
        return self

    def calls(self) -> set[str]:
        """Everything that calls for this recipe."""
        return {self.name, str(self.id), *self.barcodes}

    def of(self, view: str) -> Path | None:
        """The recipe file for a view."""
        return self.file or self.files.get(view)


class Combination(Settings):
    """How the views of a part make one verdict."""

    rule: Rule = Field("worst", description="worst: the worst view's verdict; k_of_n: NG only where k views are NG")
    k: int = Field(1, ge=1, le=64, description="views that must be NG with k_of_n; with fewer the part is for REVIEW")


class CheckPart(Settings):
    """A golden or challenge part: known, marked, and presented again and again."""

    part_id: str = Field(min_length=1, description="the id under which the machine presents it")
    verdict: Verdict = Field(description="the verdict that it must get")
    recipe: str = Field("", description="name of the recipe that it belongs to; empty: all recipes")


class Interlock(Settings):
    """When the check parts are due. While one is due, other parts are NG (error 40)."""

    parts: tuple[CheckPart, ...] = Field((), description="golden and challenge parts; none: no interlock")
    at_start: bool = Field(True, description="due when the station starts")
    every_parts: int = Field(0, ge=0, description="due again after this many parts; 0: not by count")
    shifts: tuple[str, ...] = Field((), description='local times at which shifts begin, for instance "06:00"')

    @field_validator("shifts")
    @classmethod
    def _clock(cls, shifts: tuple[str, ...]) -> tuple[str, ...]:
        for shift in shifts:
            hour, _, minute = shift.partition(":")
            if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
                raise ValueError(f"shift {shift!r} is not a time of day. Write it as HH:MM")
        return shifts


class Health(Settings):
    """The station's own HTTP port: /metrics, /healthz, /status, /live, POST /recipe and POST /continuous."""

    host: str = Field("127.0.0.1", description="address to listen on; by default loopback")
    port: int = Field(0, ge=0, le=65_535, description="0: any free one; the log names it")
    token: Secret | None = Field(None, description="where the token is stored that changes and viewers need")


class SiteServer(Settings):
    """The site server, to which the station forwards what it records, and from which it fetches its recipes."""

    url: str = Field(description="address of sightline serve: https, or http on this machine")
    token: Secret = Field(description="where the station's token is stored: sightline fleet token NAME makes it")
    tls: Tls = Field(Tls.model_validate({}), description="how the server's certificate is checked")
    pictures: bool = Field(True, description="send the pictures that the station keeps as well")
    every_s: float = Field(5.0, ge=0.1, le=600, description="records are sent at least so often, sooner if many wait")
    timeout_ms: float = Field(15_000, ge=100, le=120_000, description="time for the server to answer")
    most_mb: float = Field(
        4000, ge=1, le=1_000_000, description="records that wait; beyond it the oldest are only in the own database"
    )
    backoff: Backoff = Field(
        Backoff(first_ms=500, longest_ms=60_000), description="pauses after failed attempts; each is varied at random"
    )

    @field_validator("url")
    @classmethod
    def _guarded(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/"):
            raise ValueError("the address must be like https://inspection.example.com")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("plain http can be read and changed on the network: use https")
        return url.rstrip("/")


class StationSettings(Settings):
    """Everything about one station."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.-]+$", description="unique among the stations")
    line: str = Field("", max_length=64, description="the line that it belongs to")
    mode: Literal["production", "pilot"] = Field(
        "production", description="pilot: everything runs, the machine gets no verdicts and is informed"
    )
    deadline_ms: float = Field(100.0, ge=5, le=60_000, description="from trigger to signal; after it, NG is sent")
    margin_ms: float = Field(5.0, ge=0, le=1000, description="how long before the deadline NG is sent")
    picture_lead_ms: float = Field(
        50.0, ge=0, le=10_000, description="hardware trigger: how long before the machine's trigger a picture may come"
    )
    continuous_ms: float = Field(
        0.0,
        ge=0,
        le=600_000,
        description="StartContinuous: ms from one part to the next; 0: each picture as it arrives",
    )
    repeat_s: float = Field(
        3600.0,
        ge=0,
        description=(
            "seconds for which a part id stands for one part and gets no second verdict; 0: every trigger is a new part"
        ),
    )
    views: tuple[View, ...] = Field(min_length=1, description="cameras that look at the part")
    combine: Combination = Combination.model_validate({})
    recipes: tuple[RecipeEntry, ...] = Field(min_length=1, description="the first is active at the start")
    controller: dict[str, Any] = Field(description="what triggers and receives verdicts: kind and its settings")
    sinks: tuple[dict[str, Any], ...] = Field((), description="further receivers of the results (docs/how-to/sinks)")
    interlock: Interlock = Interlock.model_validate({})
    keep: Keep = Keep.model_validate({})
    review_ng: float = Field(0.0, ge=0, le=1, description="share of NG parts that go to review as well, to check them")
    review_ok: float = Field(
        0.0, ge=0, le=1, description="share of OK parts, drawn at random, that go to review: they measure escapes"
    )
    health: Health = Health.model_validate({})
    folder: Path = Field(Path("sightline-station"), description="journal, outboxes and log of the station")
    database: str | None = Field(None, description="URL of the records' database; none: SIGHTLINE_DB, else a file")
    images: str | None = Field(None, description="folder or URL for pictures; none: beside the database")
    threads: int = Field(2, ge=1, le=64, description="processor threads of an inspection")
    engine: Literal["onnxruntime", "openvino", "auto"] = Field(
        "onnxruntime", description="inference engine; auto: the fastest whose results equal onnxruntime's"
    )
    precision: Literal["f32", "bf16"] = Field("f32", description="what it computes in")
    frame_mb: float = Field(32.0, gt=0, le=4096, description="largest frame of a view, in MB")
    site: SiteServer | None = Field(None, description="send all records to a site server (docs/how-to/fleet.md)")
    rollouts: bool = Field(
        False,
        description="run recipes that are rolled out to this station at the site or in the store, not those below",
    )
    adaptations: bool | None = Field(
        None,
        description="inspect with what was learned since a recipe was made (docs/how-to/self-learning.md); none: yes, "
        "unless public_key asks for signed recipes",
    )
    public_key: Path | None = Field(None, description="refuse recipes that this Ed25519 key has not signed")
    withdrawn: tuple[Digits, ...] = Field((), description="first digits of the hashes of recipes that are refused")

    @field_validator("controller")
    @classmethod
    def _commands(cls, values: dict[str, Any]) -> dict[str, Any]:
        return in_role(values, controller=True)

    @field_validator("sinks")
    @classmethod
    def _no_commands(cls, sinks: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        return tuple(in_role(values, controller=False) for values in sinks)

    @model_validator(mode="after")
    def _fits_together(self) -> StationSettings:
        views = [view.name for view in self.views]
        _unique(views, "view")
        _unique([recipe.name for recipe in self.recipes], "recipe name")
        _unique([str(recipe.id) for recipe in self.recipes], "recipe id")
        _unique([call for recipe in self.recipes for call in recipe.calls()], "recipe name, id or barcode")
        for recipe in self.recipes:
            missing = [view for view in views if recipe.of(view) is None]
            if missing:
                raise ValueError(f"recipe {recipe.name} has no file for view {missing[0]}. Add it to its files")
        if self.combine.rule == "k_of_n" and self.combine.k > len(views):
            raise ValueError(f"combine.k is {self.combine.k}, but there are {len(views)} views")
        _unique([part.part_id for part in self.interlock.parts], "check part")
        for part in self.interlock.parts:
            if part.recipe and part.recipe not in [recipe.name for recipe in self.recipes]:
                raise ValueError(f"check part {part.part_id}: there is no recipe called {part.recipe!r}. Correct it")
        if self.margin_ms >= self.deadline_ms:
            raise ValueError("margin_ms must be shorter than deadline_ms")
        return self


def _unique(names: list[str], what: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{what} {twice!r} occurs twice. Give each its own")


def read_station(path: str | Path) -> StationSettings:
    """Settings from a TOML file; paths in it count from its folder. Raises SettingError that names file and field."""
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: cannot be read ({error}). Check the path") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: is not valid TOML ({error}). Correct the line") from error
    try:
        return _from_folder(StationSettings.model_validate(values), path.resolve().parent)
    except ValidationError as error:
        raise SettingError(f"{path}: {describe(error, StationSettings)}") from None


def _from_folder(settings: StationSettings, folder: Path) -> StationSettings:
    """The same with the paths of recipes, keys and the station's folder made absolute."""
    recipes = tuple(
        recipe.model_copy(
            update={
                "file": recipe.file and folder / recipe.file,
                "files": {view: folder / file for view, file in recipe.files.items()},
                "shadow": recipe.shadow and folder / recipe.shadow,
            }
        )
        for recipe in settings.recipes
    )
    key, own = settings.public_key and folder / settings.public_key, folder / settings.folder
    views = []
    for view in settings.views:
        # What a camera keeps for itself, and where a sink keeps what waits, is the station's business.
        files = {name: str(own / f"{view.name}-{name}") for name in own_files(view.camera)}
        camera = _device({"name": view.name, **files, **view.camera}, read_camera, folder)
        views.append(view.model_copy(update={"camera": camera}))
    sinks = []
    for number, values in enumerate([settings.controller, *settings.sinks]):
        waits = {"outbox": str(own / f"outbox-{number}.db")} if keeps_messages(values) else {}
        sinks.append(_device({**waits, **values}, read_sink, folder))
    health = settings.health
    if health.token is not None and health.token.file is not None:
        token = health.token.model_copy(update={"file": folder / health.token.file})
        health = health.model_copy(update={"token": token})
    if settings.site is not None:
        values_of_site = _absolute(settings.site.model_dump(), settings.site, folder)
        settings = settings.model_copy(update={"site": SiteServer.model_validate(values_of_site)})
    update = {"recipes": recipes, "folder": own, "public_key": key, "views": tuple(views), "health": health}
    update |= {name: _address(getattr(settings, name), folder) for name in ("database", "images")}
    return settings.model_copy(update=update | {"controller": sinks[0], "sinks": tuple(sinks[1:])})


def _device(values: dict[str, Any], read: Callable[[Mapping[str, Any]], BaseModel], folder: Path) -> dict[str, Any]:
    """A device's settings, checked, with its paths counted from the file's folder. Raises SettingError."""
    return _absolute(values, read(values), folder)


def _absolute(values: dict[str, Any], checked: BaseModel, folder: Path) -> dict[str, Any]:
    """The values with every path of the model made absolute, those of secrets and TLS within it, too."""
    found = dict(values)
    for name, given in values.items():
        value = getattr(checked, name, None)
        if isinstance(value, Path):
            found[name] = str(folder / value)
        elif isinstance(value, BaseModel) and isinstance(given, dict):
            found[name] = _absolute(given, value, folder)
    return found


def _address(address: str | None, folder: Path) -> str | None:
    """A file or folder counted from `folder`; a URL as it is."""
    return address if not address or "://" in address else str(folder / Path(address).expanduser())
