"""What every camera can be told."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sightline.devices.link import Backoff

Trigger = Literal["free", "software", "hardware"]


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

    name: str = Field("camera", min_length=1, max_length=64, description="what messages and records call it")
    trigger: Trigger = Field(
        "hardware",
        description="free: the next picture after the station asks; software: the station triggers the camera; "
        "hardware: pictures come one per part, in order",
    )
    roi: Roi | None = Field(None, description="the part of the picture that is kept")
    rotate_deg: Literal[0, 90, 180, 270] = Field(0, description="turn the picture clockwise")
    flip: Literal["none", "horizontal", "vertical"] = Field("none", description="mirror the picture, after turning")
    max_age_ms: float = Field(1000.0, gt=0, le=600_000, description="an older picture is never given")
    delay_ms: float = Field(0.0, ge=0, le=10_000, description="free: known delay of the stream from scene to station")
    fixed_size: bool = Field(True, description="pictures of another size than the first are refused")
    repeats_max: int = Field(
        0, ge=0, le=1000, description="identical pictures in a row after which the camera counts as frozen; 0: never"
    )
    backoff: Backoff = Field(Backoff.model_validate({}), description="pauses between attempts to connect again")


class LiveSettings(CameraSettings):
    """Settings of cameras whose pictures have noise: two identical ones in a row mean that it is frozen."""

    repeats_max: int = Field(
        1, ge=0, le=1000, description="identical pictures in a row after which the camera counts as frozen; 0: never"
    )
