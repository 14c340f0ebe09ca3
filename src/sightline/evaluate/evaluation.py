"""An evaluation: a recipe's figures on labelled images, each with its sample size and bound; as JSON and as a table."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

from sightline.core.card import Bounded, Card
from sightline.core.result import SEVERITY, Verdict
from sightline.evaluate.baseline import Baseline
from sightline.evaluate.explain.faithfulness import Faithfulness
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.evaluate.metrics.recognition import Recognition
from sightline.evaluate.metrics.types import TypeScores
from sightline.evaluate.report.text import counted, figure, gain, interval, milliseconds, of, percent
from sightline.evaluate.statistics.intervals import Rate

FIGURES = (
    *("image_auroc", "image_ap", "f1_max", "f1_threshold", "pixel_auroc", "aupro", "aupro_05"),
    *("escape", "escape_upper", "overkill", "overkill_upper", "review", "ms_p50", "ms_p95", "ms_p99"),
)


WIDTH = 78  # characters of the table
RULE = "─" * WIDTH


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """One defect type: how many of its parts were judged OK, and how well it is told from good parts.

    `escapes.of` counts the parts that show this type, unreadable images (NG) among them; `review` counts
    those left to a person; `auroc` is None where no good part or no part of this type was scored.
    """

    name: str
    escapes: Bounded
    review: int
    auroc: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as one flat JSON object."""
        return {
            "type": self.name,
            "count": self.escapes.of,
            "escaped": self.escapes.count,
            "escape": self.escapes.value,
            "escape_upper": self.escapes.upper,
            "review": self.review,
            "auroc": self.auroc,
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found. Rates count unreadable images as NG; metrics that do not exist are None.

    `escapes` counts defective parts judged OK, `overkills` good parts judged NG, `reviews` parts of either
    kind left to a person, each with its one-sided exact bound at 95 %. `aupro` is the per-region overlap up
    to a false-positive rate of 0.30, `aupro_05` up to 0.05; `f1_max` is reached at score >= `f1_threshold`.
    Times are ms from file to verdict over `timed` images.
    """

    card: Card
    images: tuple[Inspected, ...]
    failures: tuple[Failure, ...]
    image_auroc: float | None
    image_ap: float | None
    f1_max: float | None
    f1_threshold: float | None
    pixel_auroc: float | None
    aupro: float | None
    aupro_05: float | None
    regions: int
    escapes: Bounded | None
    overkills: Bounded | None
    reviews: Bounded
    ms_p50: float | None
    ms_p95: float | None
    ms_p99: float | None
    timed: int
    types: tuple[TypeFigures, ...]
    recognition: Recognition | None
    faithfulness: Faithfulness | None
    baseline: Baseline | None
    left_out_trained: int
    left_out_unlabelled: int
    trained_included: int
    notes: tuple[str, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part that counts: inspected ones, then those that failed."""
        return (*self.images, *self.failures)

    @property
    def n_good(self) -> int:
        """Good parts, unreadable ones included."""
        return sum(not part.defective for part in self.parts)

    @property
    def n_defective(self) -> int:
        """Defective parts, unreadable ones included."""
        return sum(part.defective for part in self.parts)

    @property
    def escape(self) -> float | None:
        """Share of defective parts judged OK."""
        return None if self.escapes is None else self.escapes.value

    @property
    def escape_upper(self) -> float | None:
        """Upper bound of `escape` at 95 %."""
        return None if self.escapes is None else self.escapes.upper

    @property
    def overkill(self) -> float | None:
        """Share of good parts judged NG."""
        return None if self.overkills is None else self.overkills.value

    @property
    def overkill_upper(self) -> float | None:
        """Upper bound of `overkill` at 95 %."""
        return None if self.overkills is None else self.overkills.upper

    @property
    def review(self) -> float | None:
        """Share of all parts left to a person."""
        return self.reviews.value

    def count(self, verdict: Verdict, defective: bool | None = None) -> int:
        """How many parts got a verdict; of good or defective ones alone if `defective` is given."""
        return sum(part.verdict == verdict and defective in (None, part.defective) for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """One flat object of plain JSON values; None where a figure cannot be computed."""
        masked = sum(image.mask is not None for image in self.images)
        return {
            "product": self.card.product,
            "n_good": self.n_good,
            "n_defective": self.n_defective,
            "n_failed": len(self.failures),
            "n_masks": masked,
            "n_regions": self.regions,
            "left_out_trained": self.left_out_trained,
            "left_out_unlabelled": self.left_out_unlabelled,
            "trained_included": self.trained_included,
            **{name: _finite(getattr(self, name)) for name in FIGURES},
            "types": [figures.to_json() for figures in self.types],
            "recognition": None if self.recognition is None else self.recognition.to_json(),
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_json(),
            "rule_based": None if self.baseline is None else self.baseline.to_json(),
            "failures": [failure.to_json() for failure in self.failures],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        return _table(self)


def _finite(value: float | None) -> float | None:
    # JSON has no infinity; a threshold that only an unreadable score reaches is as good as none.
    return value if value is not None and math.isfinite(value) else None


def _table(evaluation: Evaluation) -> str:
    """The figures, each with the number of parts it rests on and, for rates, its bound at 95 %."""
    blocks = [
        _head(evaluation),
        _rates(evaluation),
        _metrics(evaluation),
        _verdicts(evaluation),
        _types(evaluation),
        *_recognition(evaluation),
        _notes(evaluation),
    ]
    return f"\n{RULE}\n".join("\n".join(block) for block in blocks if block)


def _head(evaluation: Evaluation) -> list[str]:
    card = evaluation.card
    right = f"{card.backbone}, {card.width} x {card.height} px"
    parts = f"{evaluation.n_good:,} good and {evaluation.n_defective:,} defective parts"
    left = f"{card.product}: {parts}"
    if len(left) + len(right) + 2 > WIDTH:
        return [left, right]
    return [left + right.rjust(WIDTH - len(left))]


def _rates(evaluation: Evaluation) -> list[str]:
    rows = [
        ("Escape", "defective judged OK", evaluation.escapes),
        ("Overkill", "good judged NG", evaluation.overkills),
        ("Review", "left to a person", evaluation.reviews),
    ]
    head = f"{'':<34}{'seen':>16}{'rate':>12}{'at most (95 %)':>16}"
    return [head, *(f"{name:<10}{what:<24}{_rate(bounded)}" for name, what, bounded in rows)]


def _rate(bounded: Bounded | None) -> str:
    rate = None if bounded is None else bounded.value
    upper = None if bounded is None else bounded.upper
    return f"{counted(bounded):>16}{percent(rate):>12}{percent(upper):>16}"


def _metrics(evaluation: Evaluation) -> list[str]:
    scored = sum(not image.defective for image in evaluation.images)
    masks = sum(image.mask is not None for image in evaluation.images)
    rows = [
        (
            "Images",
            (("AUROC", figure(evaluation.image_auroc)), ("AP", figure(evaluation.image_ap)),
             ("F1-max", figure(evaluation.f1_max))),
            f"{scored:,} + {len(evaluation.images) - scored:,} images",
        ),
        (
            "Pixels",
            (("AUROC", figure(evaluation.pixel_auroc)), ("AUPRO", figure(evaluation.aupro)),
             ("to 5 %", figure(evaluation.aupro_05))),
            f"{masks:,} masks, {evaluation.regions:,} regions",
        ),
        (
            "Time",
            (("p50", milliseconds(evaluation.ms_p50)), ("p95", milliseconds(evaluation.ms_p95)),
             ("p99", milliseconds(evaluation.ms_p99))),
            f"{evaluation.timed:,} images",
        ),
    ]  # fmt: skip
    return [f"{name:<8}{_cells(cells)}{sample:>22}" for name, cells, sample in rows]


def _cells(cells: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"{name:<7}{value:<9}" for name, value in cells)


def _verdicts(evaluation: Evaluation) -> list[str]:
    rows = [f"{'Verdict':<34}" + "".join(f"{verdict!s:>14}" for verdict in SEVERITY)]
    for name, defective in (("good parts", False), ("defective parts", True)):
        counts = (evaluation.count(verdict, defective) for verdict in SEVERITY)
        rows.append(f"{name:<34}" + "".join(f"{count:>14,}" for count in counts))
    return rows


def _types(evaluation: Evaluation) -> list[str]:
    if not evaluation.types:
        return []
    rows = [f"{'Defect type':<26}{'AUROC':>8}{'escaped':>16}{'rate':>12}{'at most (95 %)':>16}"]
    for kind in evaluation.types:
        name = textwrap.shorten(kind.name, 25, placeholder="…")
        rows.append(f"{name:<26}{figure(kind.auroc):>8}{_rate(kind.escapes)}")
    return rows


def _recognition(evaluation: Evaluation) -> list[list[str]]:
    """One block for types, one for grades, and one for what the figures are compared with."""
    found, blocks = evaluation.recognition, []
    if found is not None and found.types is not None:
        blocks.append(_type_rows(found.types) + _maps_and_boxes(found))
    if found is not None and found.grades is not None:
        adjacent = found.grades.adjacent_rate
        blocks.append(
            [f"Grades: quadratic-weighted kappa {interval(found.grades.kappa)}",
             f"within one grade {percent(adjacent.value)} of {adjacent.of:,} (at least {percent(adjacent.lower)})"]
        )  # fmt: skip
    return [*blocks, _compared(evaluation)]


def _type_rows(found: TypeScores) -> list[str]:
    rows = [
        f"{'Named type':<20}{'right':>12}{'recall':>9}{'(at least)':>11}{'precision':>11}{'(at least)':>11}{'AP':>7}"
    ]
    for kind in found.types:
        if kind.recall.of or kind.precision.of:
            name = textwrap.shorten(kind.name, 19, placeholder="…")
            right = f"{kind.recall.count:,} of {kind.recall.of:,}"
            rows.append(
                f"{name:<20}{right:>12}{percent(kind.recall.value):>9}{_least(kind.recall):>11}"
                f"{percent(kind.precision.value):>11}{_least(kind.precision):>11}{figure(kind.ap):>7}"
            )
    return [*rows, f"Balanced accuracy {interval(found.balanced_accuracy)}"]


def _least(rate: Rate) -> str:
    return f"({percent(rate.lower)})"


def _maps_and_boxes(found: Recognition) -> list[str]:
    """Maps, boxes, and whether stated probabilities hold."""
    rows, overlap, boxes, trust = [], found.overlap, found.boxes, found.confidence
    if overlap is not None:
        rows.append(
            f"Maps: Dice {figure(overlap.dice)}, IoU {figure(overlap.iou)} on {overlap.defective:,} defect maps"
        )
    if boxes is not None:
        true_boxes = sum(kind.truths for kind in boxes.types)
        rows.append(f"Boxes: mAP50 {figure(boxes.map50)}, mAP50-95 {figure(boxes.map50_95)} on {true_boxes:,} boxes")
    if trust is not None:
        warmth = "" if found.temperature is None else f", temperature {found.temperature.value:.2f} (1 is right)"
        rows.append(f"Stated probabilities: calibration error {figure(trust.ece)}{warmth}")
    return rows


def _compared(evaluation: Evaluation) -> list[str]:
    rows, rules, faith = [], evaluation.baseline, evaluation.faithfulness
    if rules is not None:
        auroc = figure(rules.difference.first)
        rows.append(f"Golden template (rules): AUROC {auroc}; the recipe gains {gain(rules.difference)}")
    if faith is not None:
        rows.append(
            f"Heat: insertion less deletion {interval(faith.gain)} beyond a random map"
            if faith.tells
            else f"Heat: deletion and insertion cannot tell it from a random map on these {faith.images} images"
        )
        if faith.pointing.of:
            rows.append(f"Heat points at the defect: {of(faith.pointing)}; by chance {percent(faith.by_chance)}")
    return rows


def _notes(evaluation: Evaluation) -> list[str]:
    wrapped = (textwrap.wrap(note, WIDTH, initial_indent="- ", subsequent_indent="  ") for note in evaluation.notes)
    return [line for note in wrapped for line in note]
