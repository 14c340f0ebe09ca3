"""What every camera can be told, and what industrial cameras can be told besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sightline.core.errors import CameraError
from sightline.devices.link import Backoff

Trigger = Literal["free", "software", "hardware"]
Value = bool | int | float | str
OLDER = {"ExposureTime": "ExposureTimeAbs"}  # names before SFNC 1.5, of which GigE cameras remain


class Roi(BaseModel):
    """The part of the picture that is kept, in px of the sensor, before turning and flipping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x_px: int = Field(0, ge=0, le=100_000, description="left edge")
    y_px: int = Field(0, ge=0, le=100_000, description="upper edge")
    width_px: int = Field(ge=1, le=100_000, description="width")
    height_px: int = Field(ge=1, le=100_000, description="height")


class CameraSettings(BaseModel):
    """Settings that all cameras share."""

    driver_buffers: ClassVar[bool] = False  # whether pictures wait in a driver, without the moment at which they came

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("camera", min_length=1, max_length=64, description="name in messages and records")
    trigger: Trigger = Field(
        "hardware",
        description="free: the next picture after the station asks; software: the station triggers the camera; "
        "hardware: pictures come one per part, in order",
    )
    roi: Roi | None = Field(None, description="the part of the picture that is used")
    rotate_deg: Literal[0, 90, 180, 270] = Field(0, description="turn the picture clockwise")
    flip: Literal["none", "horizontal", "vertical"] = Field("none", description="mirror the picture, after turning")
    max_age_ms: float = Field(1000.0, gt=0, le=600_000, description="an older picture is never used")
    delay_ms: float = Field(0.0, ge=0, le=10_000, description="free: known delay of the stream from scene to station")
    fixed_size: bool = Field(True, description="pictures of another size than the first are refused")
    repeats_max: int = Field(
        0, ge=0, le=1000, description="identical pictures in a row after which the camera counts as frozen; 0: never"
    )
    backoff: Backoff = Field(Backoff.model_validate({}), description="pauses between attempts to reconnect")


class LiveSettings(CameraSettings):
    """Settings of cameras whose pictures have noise: two identical ones in a row mean that it is frozen."""

    repeats_max: int = Field(
        1, ge=0, le=1000, description="identical pictures in a row after which the camera counts as frozen; 0: never"
    )


class VisionSettings(LiveSettings):
    """Settings that GenICam cameras of every make share, by the names of its standard features (SFNC 2.7)."""

    driver_buffers: ClassVar[bool] = True

    trigger: Trigger = Field(
        "software",
        description="software: the station triggers the camera; hardware: a signal at trigger_line does; free: neither",
    )
    trigger_line: str = Field("Line1", max_length=64, description="hardware: the camera's input that triggers it")
    exposure_us: float | None = Field(None, gt=0, le=60_000_000, description="exposure; empty: the camera's setting")
    gain_db: float | None = Field(None, ge=0, le=60, description="gain; empty: the camera's setting")
    pixel_format: str = Field("", max_length=32, description='such as "BayerRG8"; empty: the camera\'s setting')
    width_px: int | None = Field(None, ge=1, le=100_000, description="picture width on the sensor")
    height_px: int | None = Field(None, ge=1, le=100_000, description="picture height on the sensor")
    features: dict[str, Value] = Field(
        default_factory=dict, description="further features by name, set first, in order"
    )
    buffers: int = Field(8, ge=2, le=256, description="pictures that the driver may buffer")


def set_features(settings: VisionSettings, put: Callable[[str, Value], None]) -> None:
    """Set what `settings` ask for, by `put(name, value)`.

    Raises CameraError that names the feature where the camera does not have it or does not take the value.
    """
    wanted: list[tuple[str, Value | None]] = [
        *settings.features.items(),
        ("PixelFormat", settings.pixel_format or None),
        ("Width", settings.width_px),
        ("Height", settings.height_px),
        ("ExposureAuto", None if settings.exposure_us is None else "Off"),
        ("ExposureTime", settings.exposure_us),
        ("GainAuto", None if settings.gain_db is None else "Off"),
        ("Gain", settings.gain_db),
        ("TriggerSelector", "FrameStart"),
        ("TriggerMode", "Off" if settings.trigger == "free" else "On"),
        ("TriggerSource", {"software": "Software", "hardware": settings.trigger_line}.get(settings.trigger)),
    ]
    # Not every camera has these: without them there is nothing to switch off.
    optional = {"ExposureAuto", "GainAuto"} | (
        {"TriggerSelector", "TriggerMode"} if settings.trigger == "free" else set()
    )
    for name, value in wanted:
        if value is None:
            continue
        try:
            _put_one(name, value, put)
        except (LookupError, ValueError) as error:
            if name in optional:
                continue
            raise CameraError(
                f"camera {settings.name}: the feature {name} cannot be set to {value!r} ({error}). "
                "Check the camera's manual, or leave it out"
            ) from error


def _put_one(name: str, value: Value, put: Callable[[str, Value], None]) -> None:
    try:
        put(name, value)
    except LookupError:
        if name not in OLDER:
            raise
        put(OLDER[name], value)
