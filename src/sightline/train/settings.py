"""Training settings: one place for the form, `--set key=value` and the docs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sightline.core.errors import SettingError

Effort = Literal["quick", "normal", "max"]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
# Effort -> side in px of a square with the input's area. Accuracy grows with pixels, time with their square.
SIDE_PX: dict[str, int] = {"quick": 256, "normal": 384, "max": 512}


class TrainSettings(BaseModel):
    """What a person may decide about a training; everything else is learned from the images."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    effort: Effort = Field(default="normal", description="quick, normal or max: pixels, and so accuracy and time")
    backbone: str = Field(default="lite0", description="the trunk: lite0, lite1 or lite2")
    product: str | None = Field(default=None, description="name of the product; the dataset's name by default")
    side_px: int | None = Field(default=None, ge=64, le=2048, description="side of a square with the input's area")
    bank_size: int = Field(
        default=4096, ge=64, le=65536, description="patches kept for the fine level; the coarse has half"
    )
    sample_patches: int = Field(default=60_000, ge=1000, le=1_000_000, description="patches the bank is chosen from")
    key_size: int = Field(default=64, ge=8, le=152, description="dimensions of a patch's key after PCA")
    brightness: float = Field(default=0.2, ge=0, lt=1, description="relative brightness of the extra copies; 0 = none")
    sigma_cells: float = Field(default=0.7, gt=0, le=8, description="smoothing of the heat map, in cells of 8 px")
    top_fractions: tuple[Fraction, ...] = Field(
        default=(0.003, 0.03, 0.3), min_length=1, description="shares of hottest cells that make the image score"
    )
    calibration_images: int = Field(default=1000, ge=5, description="most good parts that are scored held-out")
    overkill_target: float = Field(default=0.01, gt=0, lt=1, description="good parts that may be judged NG")
    escape_target: float = Field(default=0.01, gt=0, lt=1, description="defective parts that may be judged OK")
    review_target: float = Field(default=0.05, gt=0, lt=1, description="good parts that may go to REVIEW or NG")
    mm_per_px: float | None = Field(default=None, gt=0, description="millimetres per pixel of the original image")
    roi: tuple[Share, Share, Fraction, Fraction] = Field(
        default=(0.0, 0.0, 1.0, 1.0), description="region of interest: x, y, width, height as fractions"
    )
    seed: int = Field(default=0, ge=0, description="seed of every random choice")
    threads: int = Field(default=2, ge=1, le=256, description="processor threads")

    @field_validator("roi")
    @classmethod
    def _inside(cls, roi: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        if max(roi[0] + roi[2], roi[1] + roi[3]) > 1 + 1e-9:
            raise ValueError("x + width and y + height must not exceed 1")
        return roi

    @classmethod
    def parse(cls, pairs: dict[str, object]) -> TrainSettings:
        """Settings from loose values (text is converted). Raises SettingError naming the field and its bounds."""
        try:
            return cls.model_validate(pairs)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "settings"
            known = ", ".join(cls.model_fields)
            raise SettingError(f"setting '{field}': {first['msg']}. Known settings: {known}") from error

    @property
    def area_px(self) -> int:
        """Area of the input in square pixels."""
        return (self.side_px or SIDE_PX[self.effort]) ** 2


def parse_pairs(pairs: list[str]) -> dict[str, object]:
    """`key=value` texts -> values; a value with commas becomes a list. Raises SettingError."""
    values: dict[str, object] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise SettingError(f"'{pair}' is not a setting. Write key=value, for instance bank_size=2048")
        values[key.strip()] = [part.strip() for part in text.split(",")] if "," in text else text.strip()
    return values
