"""The recipe card: the metadata inside a recipe file, validated on every load."""

from __future__ import annotations

import base64
import struct
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sightline.core.band import NEVER, Band

SCHEMA = 1
METADATA_KEY = "sightline"
GOLDEN_SIDE_PX = 256  # longest side of the golden part's image
GOLDEN_BYTES = 2**18  # of its text: more than a grey PNG of that size can need


class Part(BaseModel):
    """Base of the card's parts: no unknown fields, no changes after loading, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Bounded(Part):
    """A rate with the sample it was seen in and its exact upper bound."""

    count: int = Field(ge=0, description="events seen, for instance good parts judged NG")
    of: int = Field(ge=0, description="parts looked at")
    upper: float = Field(ge=0, le=1, description="one-sided Clopper-Pearson upper bound")
    confidence: float = Field(gt=0, lt=1, description="confidence of the bound")


class Calibration(Part):
    """What the thresholds rest on."""

    method: Literal["leave-one-image-out", "leave-one-group-out"] = Field(description="how scores were held out")
    good: int = Field(ge=0, description="held-out good parts")
    known: int = Field(
        default=0,
        ge=0,
        description="held-out parts of known types that stand in for good ones; 0: there were good parts",
    )
    defective: int = Field(ge=0, description="labelled defective parts used for the thresholds")
    overkill: Bounded = Field(description="good parts above the band's high threshold")
    review: Bounded = Field(description="good parts above the band's low threshold (REVIEW or NG)")
    escape: Bounded | None = Field(description="defective parts judged OK; None where none were labelled")
    heat_threshold: float = Field(description="heat above which a region is outlined")
    promises: tuple[str, ...] = Field(description="what can and cannot be promised, in words")


class Parity(Part):
    """Proof that the recipe's graph scores like the network it was made from."""

    images: int = Field(ge=1, description="images compared")
    max_relative_difference: float = Field(
        ge=0, description="largest difference of a score, relative to max(1, |score|)"
    )
    verdict_flips: int = Field(ge=0, description="images whose verdict differed")
    reference: str = Field(description="the reference's engine and version")
    engine: str = Field(description="the recipe's engine and version")


class Tuning(Part):
    """How the trunk was fine-tuned, and what that was worth on parts that it did not learn from."""

    epochs: int = Field(ge=1, description="epochs run")
    best_epoch: int = Field(ge=1, description="epoch whose weights are in the recipe")
    stopping: float = Field(ge=0, le=1, description="recall (below) on the parts that chose that epoch")
    stopping_parts: int = Field(ge=1, description="how many parts those were")
    recall: float = Field(
        ge=0,
        le=1,
        description="mean of recall of classes, of grades, and boxes' mAP50, on parts that chose nothing else",
    )
    recall_frozen: float = Field(ge=0, le=1, description="the same with the trunk frozen")
    parts: int = Field(ge=1, description="how many parts those were")
    guard: float | None = Field(description="mean of AUROC and AUPRO of the guard on drawn defects; None: not compared")
    guard_frozen: float | None = Field(description="the same with the trunk frozen")


class Provenance(Part):
    """Where a recipe comes from."""

    created: str = Field(description="UTC time, ISO 8601")
    dataset: str = Field(description="hash over the training images' contents")
    settings: dict[str, str | int | float | bool | None] = Field(description="training settings")
    seed: int = Field(description="seed of every random choice")
    versions: dict[str, str] = Field(description="package versions")
    parent: str | None = Field(default=None, description="hash of the recipe this one was made from")
    tuning: Tuning | None = Field(default=None, description="how the trunk was fine-tuned; None: it is as pretrained")


class Recognition(Part):
    """What the recipe knows of defect types, and what its word is worth."""

    exclusive: bool = Field(description="a part carries one type at most, so types compete with good")
    band: Band | None = Field(
        default=None,
        description="thresholds on the highest type logit; None: too few held-out good parts, so types only name",
    )
    calibration: Calibration | None = Field(default=None, description="what those thresholds rest on")
    boxes: bool = Field(default=False, description="places of types come as boxes, too, learned from drawn ones")
    held_out: dict[str, Bounded] = Field(
        default_factory=dict, description="by type: held-out parts of it that were called something else"
    )


class Tiles(Part):
    """How a large image is read piece by piece; the graph's input is then one tile."""

    overlap_px: int = Field(ge=0, description="px of the input that neighbouring tiles share at least")
    least: int = Field(ge=1, description="fewest tiles of a good part that the thresholds rest on")
    most: int = Field(ge=1, description="most tiles of a good part that the thresholds rest on")


class GoldenCard(Part):
    """The golden part that every part is aligned to before it is read, and what counts as aligned."""

    image: str = Field(min_length=1, max_length=GOLDEN_BYTES, description="small grey image: PNG in base64")
    motion: Literal["translation", "rigid"] = Field(description="how parts move; rigid: they turn, too")
    max_shift: float = Field(gt=0, le=0.5, description="farthest shift of the centre, as a share of the longest side")
    max_angle_deg: float = Field(ge=0, le=180, description="farthest turn either way")
    least_correlation: float = Field(gt=0, lt=1, description="with the golden part, after alignment")

    @field_validator("image")
    @classmethod
    def _small_png(cls, image: str) -> str:
        # The header is checked here, and before anything is decoded: a few bytes of PNG can unpack to gigabytes.
        head = base64.b64decode(image, validate=True)[:24]
        if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("the golden part's image is no PNG")
        sides = struct.unpack(">II", head[16:24])
        if not 8 <= min(sides) <= max(sides) <= GOLDEN_SIDE_PX:
            raise ValueError(f"the golden part's image has {sides[0]} x {sides[1]} px, not 8 to {GOLDEN_SIDE_PX}")
        return image


class Card(Part):
    """Everything a recipe says about itself."""

    schema_version: int = Field(default=SCHEMA, description="version of this card's layout")
    product: str = Field(description="name of the product")
    backbone: str = Field(description="name of the trunk")
    width: int = Field(ge=32, description="input width in px")
    height: int = Field(ge=32, description="input height in px")
    scale: float = Field(gt=0, description="input px per image px; a smaller image keeps it and gets a border")
    tiles: Tiles | None = Field(default=None, description="None: the input holds the whole image")
    stretch: tuple[float, float] | None = Field(
        default=None,
        description="images fill the input; the narrowest and widest width / height of training images",
    )
    border: float = Field(default=0.0, ge=0, lt=1, description="largest share of border around a training image")
    bank: int = Field(default=1, ge=1, description="entries of the largest memory bank")
    types: tuple[str, ...] = Field(default=(), description="defect type names, in the order of type_logits")
    grades: tuple[str, ...] = Field(default=(), description="grade names, best first")
    recognition: Recognition | None = Field(default=None, description="None: no defect types were learned")
    band: Band = Field(description="the two thresholds")
    calibration: Calibration = Field(description="what the thresholds rest on")
    mm_per_px: float | None = Field(default=None, gt=0, description="millimetres per pixel of the original image")
    roi: tuple[float, float, float, float] = Field(
        default=(0.0, 0.0, 1.0, 1.0), description="region of interest: x, y, width, height as fractions of the image"
    )
    golden: GoldenCard | None = Field(default=None, description="None: parts are read as they lie")
    trained_on: tuple[str, ...] = Field(description="content hashes (16 hex digits) of training and calibration images")
    suspects: tuple[str, ...] = Field(default=(), description="good parts that look like no other")
    choices: dict[str, str] = Field(default_factory=dict, description="what was chosen for this product, and why")
    provenance: Provenance = Field(description="where the recipe comes from")
    parity: Parity | None = Field(default=None, description="parity proof; None only before the gate")

    @property
    def without_good(self) -> bool:
        """Whether no good part was learned from: the score then says how unlike every known part a part is, and no
        verdict is OK (docs/decisions/0019).
        """
        return self.calibration.known > 0

    @property
    def exclusive(self) -> bool:
        """Whether a part carries one known type at most."""
        return self.recognition is not None and self.recognition.exclusive

    @model_validator(mode="after")
    def _never_ok_without_good(self) -> Card:
        # Whatever reads the band alone must fail closed, too.
        if self.without_good and (self.band.low > NEVER or self.calibration.good):
            raise ValueError("a recipe without good parts needs a band that calls nothing OK")
        return self

    @model_validator(mode="after")
    def _tiles_advance(self) -> Card:
        # Tiles that overlap by more than half would be read three times over, or never get to the image's end.
        if self.tiles is not None and self.tiles.overlap_px > min(self.width, self.height) // 2:
            raise ValueError(f"tiles of {self.width} x {self.height} px cannot overlap by {self.tiles.overlap_px} px")
        if self.tiles is not None and self.tiles.least > self.tiles.most:
            raise ValueError(f"the fewest tiles ({self.tiles.least}) are more than the most ({self.tiles.most})")
        return self
