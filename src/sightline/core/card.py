"""The recipe card: the metadata inside a recipe file, validated on every load."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sightline.core.band import Band

SCHEMA = 1
METADATA_KEY = "sightline"


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


class Provenance(Part):
    """Where a recipe comes from."""

    created: str = Field(description="UTC time, ISO 8601")
    dataset: str = Field(description="hash over the training images' contents")
    settings: dict[str, str | int | float | bool | None] = Field(description="training settings")
    seed: int = Field(description="seed of every random choice")
    versions: dict[str, str] = Field(description="package versions")
    parent: str | None = Field(default=None, description="hash of the recipe this one was made from")


class Card(Part):
    """Everything a recipe says about itself."""

    schema_version: int = Field(default=SCHEMA, description="version of this card's layout")
    product: str = Field(description="name of the product")
    backbone: str = Field(description="name of the trunk")
    width: int = Field(ge=32, description="input width in px")
    height: int = Field(ge=32, description="input height in px")
    scale: float = Field(gt=0, description="input px per image px; a smaller image keeps it and gets a border")
    border: float = Field(default=0.0, ge=0, lt=1, description="largest share of border around a training image")
    bank: int = Field(default=1, ge=1, description="entries of the largest memory bank")
    types: tuple[str, ...] = Field(default=(), description="defect type names, in the order of type_logits")
    grades: tuple[str, ...] = Field(default=(), description="grade names, best first")
    band: Band = Field(description="the two thresholds")
    calibration: Calibration = Field(description="what the thresholds rest on")
    mm_per_px: float | None = Field(default=None, gt=0, description="millimetres per pixel of the original image")
    roi: tuple[float, float, float, float] = Field(
        default=(0.0, 0.0, 1.0, 1.0), description="region of interest: x, y, width, height as fractions of the image"
    )
    trained_on: tuple[str, ...] = Field(description="content hashes (16 hex digits) of training and calibration images")
    choices: dict[str, str] = Field(default_factory=dict, description="what was chosen for this product, and why")
    provenance: Provenance = Field(description="where the recipe comes from")
    parity: Parity | None = Field(default=None, description="parity proof; None only before the gate")
