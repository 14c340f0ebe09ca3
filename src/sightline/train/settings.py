"""Training settings: one place for the form, `--set key=value` and the docs."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import fill
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sightline.core.errors import SettingError
from sightline.data.augment import Augmentation

Effort = Literal["quick", "normal", "max"]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
NEAR = 0.6  # similarity of two names, from which one may be meant for the other
TILE_STEP_PX = 32  # the backbone's deepest stride
OVERLAP_SHARE = 8  # a tile shares one part in this many with its neighbour
# Effort -> side in px of a square with the input's area. Accuracy grows with pixels, time with their square.
SIDE_PX: dict[str, int] = {"quick": 256, "normal": 384, "max": 512}

DRAWINGS: dict[str, int] = {"quick": 24, "normal": 48, "max": 144}  # by effort


class TrainSettings(BaseModel):
    """What a person may decide about a training; everything else is learned from the images."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    effort: Effort = Field(
        default="normal", description="quick, normal or max: number of pixels, and so accuracy and time"
    )
    backbone: str = Field(default="lite0", description="lite0, lite1, lite2, dinov2-s or hf:NAME_OR_FOLDER")
    product: str | None = Field(default=None, description="name of the product; the dataset's name by default")
    side_px: int | None = Field(default=None, ge=64, le=2048, description="side of a square with the input's area")
    budget_ms: float | None = Field(
        default=None,
        gt=0,
        description="ms an inspection may take on this machine, without decoding; the input is reduced to fit",
    )
    tile_px: int | None = Field(
        default=None,
        ge=128,
        le=1024,
        multiple_of=TILE_STEP_PX,
        description="side of the square tiles, in px of the image after scaling; none = the whole image as one",
    )
    tile_scale: float = Field(default=1.0, gt=0, le=1, description="tile px per image px; 1 = every pixel is read")
    bank_size: int | None = Field(
        default=None,
        ge=64,
        le=65536,
        description="patches kept for the fine level (the coarse has half); up to 4096, chosen, by default",
    )
    sample_patches: int = Field(default=30_000, ge=1000, le=1_000_000, description="patches the bank is chosen from")
    key_size: int = Field(default=64, ge=8, le=152, description="dimensions of a patch's key after PCA")
    brightness: float | None = Field(
        default=None, ge=0, lt=1, description="relative brightness of extra copies; 0 = none; chosen by default"
    )
    light_directions: int = Field(
        default=3, ge=0, le=16, description="directions that a change of light moves features along, left out of keys"
    )
    sigma_cells: float = Field(default=0.7, gt=0, le=8, description="smoothing of the heat map, in cells of its grid")
    coarse_weight: float | None = Field(
        default=None, ge=0, le=10, description="weight of the coarse level beside the fine one's 1; chosen by default"
    )
    discriminator_weight: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="weight of what sets defects apart, drawn or marked, beside the fine level's 1; chosen by default",
    )
    top_fractions: tuple[Fraction, ...] = Field(
        default=(0.003, 0.03), min_length=1, description="shares of hottest cells that make the image score"
    )
    synthetic: int | None = Field(
        default=None, ge=0, le=1000, description="synthetic defects to choose by; by effort by default"
    )
    outliers: Literal["list", "leave out"] = Field(
        default="list", description="what to do with good parts that look like no other"
    )
    calibration_images: int = Field(default=1000, ge=5, description="most good parts that are scored held-out")
    overkill_target: float = Field(default=0.02, gt=0, lt=1, description="good parts that may be judged NG")
    escape_target: float = Field(default=0.01, gt=0, lt=1, description="defective parts that may be judged OK")
    review_target: float = Field(default=0.1, gt=0, lt=1, description="good parts that may go to REVIEW or NG")
    mm_per_px: float | None = Field(default=None, gt=0, description="millimetres per pixel of the original image")
    roi: tuple[Share, Share, Fraction, Fraction] = Field(
        default=(0.0, 0.0, 1.0, 1.0), description="region of interest: x, y, width, height as fractions"
    )
    precision: Literal["f32", "int8"] = Field(
        default="f32", description="numeric precision of the backbone; int8 is faster and slightly less exact"
    )
    align: Literal["auto", "never", "always"] = Field(
        default="never", description="align parts to the golden part; auto = if a test shows that it helps"
    )
    small_cells: Literal["never", "always"] = Field(
        default="never",
        description="cells of 4 px instead of 8, for tiny defects; an inspection takes 1.5 times as long",
    )
    classify: bool = Field(default=True, description="learn defect types, regions and grades if labels name them")
    classifier_width: int = Field(default=32, ge=8, le=256, description="channels of the classifier of known defects")
    boxes: bool = Field(default=True, description="learn boxes if at least a hundred are drawn")
    backbone_training: Literal["frozen", "fine-tuned"] = Field(
        default="frozen",
        description="fine-tuned: the backbone is trained on the labels as well, and used if it is better",
    )
    tune_epochs: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="maximum number of epochs of fine-tuning; by effort by default",
    )
    tune_rate: float = Field(
        default=1e-3, gt=0, le=0.1, description="learning rate of the backbone's last layer; earlier ones have less"
    )
    tune_batch: int = Field(
        default=16, ge=1, le=1024, description="images per step of fine-tuning; split if memory is short"
    )
    tune_depth: float = Field(
        default=0.65, gt=0, le=1, description="share of the backbone's layers, from the last, that are fine-tuned"
    )
    augment_without: tuple[str, ...] = Field(
        default=(), description="kinds of augmentation that would change a label, for instance flip, rotation, colour"
    )
    classifier_rate: float = Field(default=3e-3, gt=0, le=1, description="highest learning rate of the classifier")
    classifier_batch: int = Field(default=16, ge=2, le=512, description="batch size of the classifier")
    loss: Literal["adjusted", "balanced", "focal", "plain", "asymmetric"] = Field(
        default="adjusted",
        description="how types of unequal counts are learned; asymmetric is for several types on one part",
    )
    synthetic_defects: Literal["auto", "never", "always"] = Field(
        default="auto",
        description="also learn types from synthetic defects; auto = with effort max, if held-out real parts gain",
    )
    augment: float = Field(default=0.0, ge=0, le=1, description="strength of augmentation of defective parts; 0 = none")
    seed: int = Field(default=0, ge=0, description="seed of every random choice")
    threads: int = Field(default=2, ge=1, le=256, description="processor threads")

    @field_validator("roi")
    @classmethod
    def _inside(cls, roi: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        if max(roi[0] + roi[2], roi[1] + roi[3]) > 1 + 1e-9:
            raise ValueError("x + width and y + height must not exceed 1")
        return roi

    @field_validator("augment_without", "top_fractions", "roi", mode="before")
    @classmethod
    def _several(cls, values: object) -> object:
        """One value where several may stand is a list of one."""
        if isinstance(values, str):
            return tuple(value.strip() for value in values.split(",") if value.strip())
        return (values,) if isinstance(values, int | float) else values

    @field_validator("augment_without")
    @classmethod
    def _known_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        try:
            Augmentation(without=set(kinds))
        except SettingError as error:
            raise ValueError(str(error)) from error
        return kinds

    @model_validator(mode="after")
    def _learnable(self) -> TrainSettings:
        if self.backbone_training == "fine-tuned" and (not self.classify or self.tile_px is not None):
            raise ValueError(
                "a backbone is fine-tuned on whole images with labelled types or grades. "
                "Leave classify on and tile_px out, or keep backbone_training=frozen"
            )
        if self.backbone_training == "fine-tuned" and self.small_cells == "always":
            raise ValueError("a fine-tuned backbone is read with the usual cells. Leave small_cells out")
        return self

    @model_validator(mode="after")
    def _one_size(self) -> TrainSettings:
        if self.tile_px is not None and self.side_px is not None:
            raise ValueError("side_px sets the size of whole images and tile_px that of tiles. Give one of the two")
        if self.tile_px is None and self.tile_scale != 1.0:
            raise ValueError("tile_scale has no effect without tile_px. Give tile_px as well, for instance 512")
        if self.budget_ms is not None and (self.side_px is not None or self.tile_px is not None):
            raise ValueError("budget_ms chooses the input's size, and side_px or tile_px set it. Give one of them")
        return self

    @classmethod
    def parse(cls, pairs: dict[str, object]) -> TrainSettings:
        """Settings from loose values (text is converted). Raises SettingError naming the field and its bounds."""
        try:
            return cls.model_validate(pairs)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "settings"
            raise SettingError(
                f"setting '{field}': {cls._remedy(first['type'], first['loc'], first['msg'])}"
            ) from error

    @classmethod
    def _remedy(cls, kind: str, place: tuple[int | str, ...], said: str) -> str:
        name = str(place[0]) if place else ""
        if kind != "extra_forbidden":
            meaning = cls.model_fields[name].description if name in cls.model_fields else ""
            return f"{said}. It means: {meaning}" if meaning else said
        near = get_close_matches(name, cls.model_fields, 3, NEAR)
        if near:
            return f"there is no such setting. Did you mean {' or '.join(near)}?"
        listed = fill(", ".join(sorted(cls.model_fields)), 100, initial_indent="  ", subsequent_indent="  ")
        return f"there is no such setting. There are:\n{listed}"

    @property
    def mirror(self) -> bool:
        """Whether to learn from mirrored copies as well."""
        return "flip" not in self.augment_without

    @property
    def drawings(self) -> int:
        """Synthetic defects to draw."""
        return DRAWINGS[self.effort] if self.synthetic is None else self.synthetic

    @property
    def area_px(self) -> int:
        """Area of the input in square pixels."""
        return (self.side_px or SIDE_PX[self.effort]) ** 2

    @property
    def tile_overlap_px(self) -> int:
        """Px that neighbouring tiles share at least: an eighth of their side, in steps of 32 px."""
        return max(TILE_STEP_PX, round((self.tile_px or 0) / OVERLAP_SHARE / TILE_STEP_PX) * TILE_STEP_PX)


def parse_pairs(pairs: list[str]) -> dict[str, object]:
    """`key=value` texts -> values; a value with commas becomes a list. Raises SettingError."""
    values: dict[str, object] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            what = f"setting '{pair}' has no value" if key else f"'{pair}' names no setting"
            raise SettingError(f"{what}. Write key=value, for instance bank_size=2048")
        values[key.strip()] = [part.strip() for part in text.split(",")] if "," in text else text.strip()
    return values
