"""The recipe card: the metadata inside a recipe file, validated on every load; and what explains the recipe.

The explanation lies in the file's metadata beside the card, because a line reads metadata without any package for ONNX
files, and is read only when somebody asks for one.
"""

from __future__ import annotations

import base64
import struct
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sightline.core.result import NEVER, Band

SCHEMA = 1
METADATA_KEY = "sightline"
MAX_SIDE_PX = 16_384  # of the input: far more than any backbone is fed with
GOLDEN_SIDE_PX = 256  # longest side of the golden part's image
GOLDEN_BYTES = 2**18  # of its text: more than a grey PNG of that size can need
MEASURES = ("brightness", "contrast", "sharpness", "noise", "red", "blue", "shift_x", "shift_y", "turn", "scale")
PLACES = 10  # places in a row, and rows of them, whose brightness is measured
REFERENCE_PX = 64  # longest side of the picture that poses are measured by
NEAR = 1.5  # times the median distance: a part that lies so near to the others may score lower than all of them
EXPLANATION_KEY = f"{METADATA_KEY}_explanation"
MAX_CROPS = 400
MAX_SOURCES = 400
CROP_PX, VIEW_PX = 48, 64  # side of a kept crop, and of what it shows, in px of the recipe's input
ACROSS = 20  # crops in a row of the sheet
MAX_BYTES = 2**20  # of the sheet as text
START_OF_FRAME = (0xC0, 0xC1, 0xC2)  # JPEG markers that are followed by the picture's size


def check_small_png(text: str, name: str, least_px: int) -> str:
    """The text, if it is a PNG in base64 of `least_px` to 256 px a side, by its header. Raises ValueError."""
    # Before anything is decoded: a few bytes of PNG can unpack to gigabytes.
    head = base64.b64decode(text, validate=True)[:24]
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"{name} is not a PNG")
    sides = struct.unpack(">II", head[16:24])
    if not least_px <= min(sides) <= max(sides) <= GOLDEN_SIDE_PX:
        raise ValueError(f"{name} has {sides[0]} x {sides[1]} px, not {least_px} to {GOLDEN_SIDE_PX}")
    return text


class Section(BaseModel):
    """Base of the card and its sections: no unknown fields, no changes after loading, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Bounded(Section):
    """A rate with the sample it was seen in and its exact upper bound."""

    count: int = Field(ge=0, description="events seen, for instance good parts judged NG")
    of: int = Field(ge=0, description="parts looked at")
    upper: float = Field(ge=0, le=1, description="one-sided Clopper-Pearson upper bound")
    confidence: float = Field(gt=0, lt=1, description="confidence of the bound")

    @property
    def value(self) -> float | None:
        """`count / of`; None where no part was looked at."""
        return self.count / self.of if self.of else None


class Calibration(Section):
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
    limits: tuple[str, ...] = Field(
        default=(), description="which part sets each threshold, and what it would be without"
    )


class OutOfDistribution(Section):
    """What tells pictures that do not show the product at all; a distance of 1 is the limit."""

    parts: int = Field(ge=1, description="held-out good parts that the limit rests on")
    median: float = Field(ge=0, description="their median distance, each from the others")
    outside: Bounded = Field(description="how many of them lie outside all the same, and go to REVIEW")
    lowest_score: float = Field(
        description="a score below this, by a margin lower than every held-out good part's, is trusted only of an "
        "image that lies as near as good parts do"
    )

    def reason(self, distance: float, score: float) -> str | None:
        """Why a picture may not be called OK: it does not look like the product. None where it does.

        `distance` is the length of the graph's output `ood`, of which anything but a number below 1 is outside.
        """
        if not distance <= 1:
            times = f"{distance:.3g}" if distance <= 100 else "over 100"
            return (
                f"this does not look like the product: {times} times as far from the good parts as the limit. "
                "Check part, fixture, camera and the chosen recipe"
            )
        if score < self.lowest_score and distance > NEAR * self.median:
            return (
                f"the score {score:.2f} is lower than every good part's ({self.lowest_score:.2f} is the limit): there "
                "may be no part in the picture, or it is out of focus. Check fixture and camera"
            )
        return None


class Parity(Section):
    """Proof that the recipe's graph scores like the network it was made from."""

    images: int = Field(ge=1, description="images compared")
    max_relative_difference: float = Field(
        ge=0, description="largest difference of a score, relative to max(1, |score|)"
    )
    verdict_flips: int = Field(ge=0, description="images whose verdict differed")
    reference: str = Field(description="the reference's engine and version")
    engine: str = Field(description="the recipe's engine and version")


class Tuning(Section):
    """How the backbone was fine-tuned, and what that was worth on parts that it did not learn from."""

    epochs: int = Field(ge=1, description="epochs run")
    best_epoch: int = Field(ge=1, description="epoch whose weights are in the recipe")
    stopping: float = Field(ge=0, le=1, description="recall (below) on the parts that chose that epoch")
    stopping_parts: int = Field(ge=1, description="how many parts those were")
    recall: float = Field(
        ge=0,
        le=1,
        description="mean of recall of classes, of grades, and boxes' mAP50, on parts that chose nothing else",
    )
    recall_frozen: float = Field(ge=0, le=1, description="the same with the backbone frozen")
    parts: int = Field(ge=1, description="how many parts those were")
    guard: float | None = Field(
        description="mean of AUROC and AUPRO of the guard on synthetic defects; None: not compared"
    )
    guard_frozen: float | None = Field(description="the same with the backbone frozen")


class Provenance(Section):
    """Where a recipe comes from."""

    created: str = Field(description="UTC time, ISO 8601")
    dataset: str = Field(description="hash over the training images' contents")
    settings: dict[str, str | int | float | bool | None] = Field(description="training settings")
    seed: int = Field(description="seed of every random choice")
    versions: dict[str, str] = Field(description="package versions")
    parent: str | None = Field(default=None, description="hash of the recipe this one was made from")
    tuning: Tuning | None = Field(
        default=None, description="how the backbone was fine-tuned; None: it is as pretrained"
    )


class Revision(Section):
    """Thresholds that were set after the training, and why."""

    created: str = Field(description="UTC time, ISO 8601")
    by: str = Field(min_length=1, max_length=200, description="who set them")
    reason: str = Field(min_length=1, max_length=1000, description="why")
    earlier: Band = Field(description="the thresholds before")


class Recognition(Section):
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


class Tiles(Section):
    """How a large image is read piece by piece; the graph's input is then one tile."""

    overlap_px: int = Field(ge=0, description="px of the input that neighbouring tiles share at least")
    least: int = Field(ge=1, description="fewest tiles of a good part that the thresholds rest on")
    most: int = Field(ge=1, description="most tiles of a good part that the thresholds rest on")


class GoldenCard(Section):
    """The golden part that every part is aligned to before it is read, and what counts as aligned."""

    image: str = Field(min_length=1, max_length=GOLDEN_BYTES, description="small grey image: PNG in base64")
    motion: Literal["translation", "rigid"] = Field(description="how parts move; rigid: they turn, too")
    max_shift: float = Field(gt=0, le=0.5, description="farthest shift of the centre, as a share of the longest side")
    max_angle_deg: float = Field(ge=0, le=180, description="farthest turn either way")
    least_correlation: float = Field(gt=0, lt=1, description="with the golden part, after alignment")

    @field_validator("image")
    @classmethod
    def _small_png(cls, image: str) -> str:
        return check_small_png(image, "the golden part's image", 8)


class Spread(Section):
    """Where a measure of good parts lies: its robust mean and standard deviation over `of` parts."""

    mean: float = Field(description="median")
    scale: float = Field(ge=0, description="standard deviation, robust")
    of: int = Field(ge=1, description="good parts measured")


class AppearanceCard(Section):
    """How the good parts of the training looked: what a drift is measured against (`sightline.runtime.appearance`)."""

    picture: str = Field(min_length=1, max_length=GOLDEN_BYTES, description="their mean, grey: PNG in base64")
    measures: dict[str, Spread] = Field(max_length=64, description="by name of the measure")
    places: tuple[tuple[float, float], ...] = Field(
        max_length=PLACES**2,
        description="mean and scale of each place's brightness, the whole picture's being 100",
    )
    score: Spread = Field(description="of held-out scores")
    distance: Spread = Field(description="of held-out distances from the other good parts")

    @field_validator("picture")
    @classmethod
    def _small_png(cls, picture: str) -> str:
        return check_small_png(picture, "the appearance's picture", 1)

    @field_validator("places")
    @classmethod
    def _all_places(cls, places: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if len(places) != PLACES**2:
            raise ValueError(f"there are {len(places)} places, not {PLACES**2}")
        return places


class Card(Section):
    """Everything a recipe says about itself."""

    schema_version: int = Field(default=SCHEMA, description="version of this card's layout")
    product: str = Field(description="name of the product")
    backbone: str = Field(description="name of the backbone")
    width: int = Field(ge=32, le=MAX_SIDE_PX, description="input width in px")
    height: int = Field(ge=32, le=MAX_SIDE_PX, description="input height in px")
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
    revision: Revision | None = Field(default=None, description="None: the thresholds are those of the training")
    ood: OutOfDistribution = Field(description="the test for pictures that do not show the product")
    mm_per_px: float | None = Field(default=None, gt=0, description="millimetres per pixel of the original image")
    full_scale: int | None = Field(
        default=None, ge=1, le=65535, description="value of white in images of 16 bits; None: none was trained on"
    )
    roi: tuple[float, float, float, float] = Field(
        default=(0.0, 0.0, 1.0, 1.0), description="region of interest: x, y, width, height as fractions of the image"
    )
    golden: GoldenCard | None = Field(default=None, description="None: parts are read as they lie")
    appearance: AppearanceCard | None = Field(
        default=None, description="how good parts looked; None: a drift is judged from the first parts of the line"
    )
    trained_on: tuple[str, ...] = Field(description="content hashes (16 hex digits) of training and calibration images")
    outliers: tuple[str, ...] = Field(default=(), description="good parts that look like no other")
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

    @property
    def promises(self) -> tuple[str, ...]:
        """What can and cannot be promised, in words: of the score, and of named types where they decide as well (the
        graver of the two verdicts counts, so that neither line holds alone).
        """
        of_score = self.calibration.promises
        types = None if self.recognition is None else self.recognition.calibration
        of_types = () if types is None else types.promises
        return (*of_score, *(f"by named types, which decide as well: {x}" for x in of_types if x not in of_score))

    @field_validator("roi")
    @classmethod
    def _inside(cls, roi: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x, y, width, height = roi
        if min(x, y) < 0 or min(width, height) <= 0 or max(x + width, y + height) > 1 + 1e-9:
            raise ValueError(f"x, y, width, height of {roi} do not lie within the image (0 to 1)")
        return roi

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


class MemoryCrops(Section):
    """Crops of bank entries as one JPEG, `ACROSS` in a row, each `CROP_PX` wide and high.

    Crop i shows bank entry `entries[i]`, from the image `sources[source[i]]`, at `centres[i]`.
    """

    entries: tuple[int, ...] = Field(max_length=MAX_CROPS, description="bank entry of each crop, first level")
    sources: tuple[str, ...] = Field(max_length=MAX_SOURCES, description="file names of training images")
    source: tuple[int, ...] = Field(max_length=MAX_CROPS, description="of each crop: which of the sources")
    centres: tuple[tuple[float, float], ...] = Field(
        max_length=MAX_CROPS, description="of each crop: x and y as shares of its image's width and height"
    )
    jpeg: str = Field(max_length=MAX_BYTES, description="the crops: JPEG in base64")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px of the picture."""
        return CROP_PX * -(-len(self.entries) // ACROSS), CROP_PX * min(ACROSS, max(1, len(self.entries)))

    @field_validator("jpeg")
    @classmethod
    def _a_jpeg(cls, text: str) -> str:
        # The size is read before anything is decoded: a few bytes of JPEG can unpack to gigabytes.
        if jpeg_size(base64.b64decode(text, validate=True)) is None:
            raise ValueError("the sheet of crops is not a JPEG")
        return text

    @model_validator(mode="after")
    def _fits(self) -> MemoryCrops:
        if not len(self.entries) == len(self.source) == len(self.centres):
            raise ValueError("the sheet lists its crops unequally")
        if not all(0 <= number < len(self.sources) for number in self.source):
            raise ValueError("a crop of the sheet comes from an image that it does not name")
        if min(self.entries, default=0) < 0:
            raise ValueError("a crop of the sheet shows no entry of the bank")
        if jpeg_size(base64.b64decode(self.jpeg)) != self.size:
            raise ValueError(f"the sheet of crops is not {self.size[1]} x {self.size[0]} px")
        return self


class ExplanationData(Section):
    """What an explanation needs to know of the graph, and what the memory holds."""

    maps: tuple[str, ...] = Field(
        default=(), max_length=64, description="the backbone's maps that the classifier reads"
    )
    level: str = Field(default="fine", pattern=r"^[a-z_]+$", description="the level whose entries the crops show")
    memory_crops: MemoryCrops | None = Field(default=None, description="None: the memory was not drawn")


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG from its header; None where it is none."""
    offset = 2 if data.startswith(b"\xff\xd8") else len(data)
    while offset + 9 <= len(data) and data[offset] == 0xFF:
        if data[offset + 1] in START_OF_FRAME:
            return int.from_bytes(data[offset + 5 : offset + 7], "big"), int.from_bytes(
                data[offset + 7 : offset + 9], "big"
            )
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    return None
