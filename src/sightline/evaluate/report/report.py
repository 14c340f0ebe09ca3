"""The report: an evaluation as one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.core.card import Bounded, Card
from sightline.core.errors import InputError, require
from sightline.core.result import SEVERITY
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.metrics.pixel import AUPRO_LIMIT, AUPRO_STRICT
from sightline.evaluate.metrics.recognition import GOOD
from sightline.evaluate.report import plots, text
from sightline.evaluate.report.gallery import cells, data_uri, short_name, thumbnail, worst_escapes, worst_overkills
from sightline.evaluate.report.plots import reliability_plot
from sightline.evaluate.report.text import NONE, claim
from sightline.runtime.drawing import legend, scale_of
from sightline.runtime.inspection import UNKNOWN
from sightline.runtime.recipe import write_atomically

TEMPLATES = Path(__file__).parent.parent / "templates"
PER_CELL, SHOT_PX = 12, 150
MAX_PICTURES = 400  # of the whole table: a page must stay a page


def write_report(evaluation: Evaluation, path: str | Path, *, created: datetime | None = None) -> Path:
    """Write the evaluation as one self-contained HTML file and return its path.

    The images are read again from their files for thumbnails; one that is gone is named without a picture.
    The file appears whole or not at all. `created` is the time printed on it (now, in UTC). Raises InputError
    where it cannot be written, MissingExtraError where the extra "train" is not installed.
    """
    return save_page(Path(path), render(evaluation, created or datetime.now(UTC)))


def save_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all, folders included, and return its path. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise InputError(
            f"{path}: the report could not be written ({error.strerror}). Free space or choose another folder."
        ) from error
    return path


def render(evaluation: Evaluation, created: datetime) -> str:
    """The report's HTML."""
    page: str = templates().get_template("report.html").render(_context(evaluation, created))
    return page


def templates(*folders: Path) -> Any:
    """The Jinja environment of reports: templates of `folders`, then those of this package, and the wording."""
    jinja = require("jinja2", "jinja2")
    environment = jinja.Environment(
        loader=jinja.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=text.percent,
        figure=text.figure,
        ms=text.milliseconds,
        counted=text.counted,
        of=text.of,
        span=text.span,
        interval=text.interval,
        gain=text.gain,
    )
    return environment


def _context(evaluation: Evaluation, created: datetime) -> dict[str, Any]:
    markup = require("markupsafe", "jinja2").Markup
    scale, found = scale_of(evaluation.card), evaluation.recognition
    return {
        "evaluation": evaluation,
        "card": evaluation.card,
        "created": created.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "verdicts": [(verdict, evaluation.count(verdict)) for verdict in SEVERITY],
        "headlines": headlines(evaluation),
        "axis": axis(evaluation),
        "metrics": metrics(evaluation),
        # The plots hold numbers and our own words alone, nothing from file names or labels.
        "histogram": markup(plots.histogram(evaluation)),
        "roc": markup(plots.roc(evaluation)),
        "precision_recall": markup(plots.precision_recall(evaluation)),
        "cells": cells(evaluation, scale),
        "worst": [worst_escapes(evaluation, scale), worst_overkills(evaluation, scale)],
        "scale": scale,
        "gradient": markup(legend()),
        "reliability": markup(reliability_plot(None if found is None else found.confidence)),
        "crossing": confusion_table(evaluation),
        "boxes": {} if found is None or found.boxes is None else {kind.name: kind for kind in found.boxes.types},
        "provenance": provenance(evaluation.card),
        "details": details(evaluation.card),
    }


def headlines(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Escape, overkill and review: title, rate and bound (None where there are no such parts), and words."""
    return [
        _headline("Escape", evaluation.escapes, "defective parts judged OK", "No defective parts"),
        _headline("Overkill", evaluation.overkills, "good parts judged NG", "No good parts"),
        _headline("Review", evaluation.reviews, "parts left to a person", "No parts"),
    ]


def axis(evaluation: Evaluation) -> float:
    """The end of the gauges' common axis, a share: the smallest round one that holds every bound."""
    bounds = (evaluation.escapes, evaluation.overkills, evaluation.reviews)
    highest = max(bounded.upper for bounded in bounds if bounded is not None)
    return next(end for end in (0.05, 0.1, 0.25, 0.5, 1.0) if highest <= end)


def metrics(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The metrics of separation with what they rest on and what they mean."""
    good = sum(not image.defective for image in evaluation.images)
    images = f"{good:,} good, {len(evaluation.images) - good:,} defective images"
    masks = f"{sum(image.mask is not None for image in evaluation.images):,} masks"
    regions = f"{masks}, {evaluation.regions:,} regions"
    threshold = evaluation.f1_threshold
    best = "best F1 over all limits" + ("" if threshold is None else f", at score ≥ {threshold:.3g}")
    rows = [
        ("Image AUROC", evaluation.image_auroc, images, "how often a defective part scores above a good one"),
        ("Average precision", evaluation.image_ap, images, "area under precision over recall"),
        ("F1-max", evaluation.f1_max, images, f"{best}; a ceiling, chosen on these images"),
        (
            "Pixel AUROC",
            evaluation.pixel_auroc,
            masks,
            "how often a defective pixel is hotter than a normal one",
        ),
        ("AUPRO", evaluation.aupro, regions, _overlap(AUPRO_LIMIT)),
        ("AUPRO, strict", evaluation.aupro_05, regions, _overlap(AUPRO_STRICT)),
    ]
    return [dict(zip(("name", "value", "basis", "meaning"), row, strict=True)) for row in rows]


def provenance(card: Card) -> list[tuple[str, str]]:
    """Where the recipe comes from, as (name, value)."""
    origin = card.provenance
    return [
        ("Backbone", card.backbone),
        ("Input size", f"{card.width} × {card.height} px, {card.scale:.3g} per image px"),
        ("Made", origin.created),
        ("Training images", f"{len(card.trained_on):,}"),
        ("Dataset hash", origin.dataset),
        ("Parent recipe", origin.parent or "none"),
        ("Seed", str(origin.seed)),
        ("Length scale", "not calibrated" if card.mm_per_px is None else f"{card.mm_per_px:g} mm per pixel"),
        ("Parity proof", _parity(card)),
    ]


def details(card: Card) -> list[tuple[str, str]]:
    """Settings, choices and package versions, as (name, value)."""
    settings = [(name, NONE if value is None else str(value)) for name, value in card.provenance.settings.items()]
    return settings + list(card.choices.items()) + list(card.provenance.versions.items())


def _headline(title: str, bounded: Bounded | None, what: str, missing: str) -> dict[str, Any]:
    if bounded is None:
        return {"title": title, "rate": None, "upper": None, "text": f"{missing}: {title.lower()} cannot be stated."}
    sentence = claim(bounded, what, title.lower())
    return {"title": title, "rate": bounded.value, "upper": bounded.upper, "text": sentence}


def _overlap(limit: float) -> str:
    return f"mean share of a defect covered, while up to {100 * limit:g} % of normal pixels are hot"


def _parity(card: Card) -> str:
    if card.parity is None:
        return "none: this recipe has not passed its parity gate"
    proof = card.parity
    return (
        f"{proof.images} images, {proof.verdict_flips} verdicts differ, scores differ by at most "
        f"{proof.max_relative_difference:.2g} ({proof.reference} against {proof.engine})"
    )


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """One cell: `count` parts of type `truth` named `predicted`; `shots` are (name, path, picture or "") of some."""

    key: str
    truth: str
    predicted: str
    count: int
    shots: tuple[tuple[str, str, str], ...]

    @property
    def wrong(self) -> bool:
        """Whether there should be none."""
        return self.truth != self.predicted


@dataclass(frozen=True, slots=True)
class ConfusionTable:
    """Rows are the truth, columns what was predicted, both in the order of `names`."""

    names: tuple[str, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]

    @property
    def filled(self) -> tuple[ConfusionCell, ...]:
        """Cells that are not empty, mistakes first."""
        cells = [cell for row in self.rows for cell in row if cell.count]
        return tuple(sorted(cells, key=lambda cell: not cell.wrong))


def confusion_table(evaluation: Evaluation) -> ConfusionTable | None:
    """The table; None where the recipe names no types, or a part may carry several."""
    found = evaluation.recognition
    if found is None or found.confusion is None:
        return None
    order = sorted(found.confusion.names, key=lambda name: (name == UNKNOWN) - (name == GOOD))
    names, room, rows = tuple(order), MAX_PICTURES, []
    for row, truth in enumerate(names):
        cells = []
        for column, predicted in enumerate(names):
            images = found.confusion.cell(truth, predicted)
            chosen = images[: min(PER_CELL, max(0, room))]
            room -= len(chosen)
            shots = tuple(_shot(Path(image)) for image in chosen)
            cells.append(ConfusionCell(f"types-{row}-{column}", truth, predicted, len(images), shots))
        rows.append(tuple(cells))
    return ConfusionTable(names, tuple(rows))


def _shot(path: Path) -> tuple[str, str, str]:
    image = thumbnail(path, SHOT_PX)
    return short_name(path), str(path), "" if image is None else data_uri(image)
