"""The report: an evaluation as one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.evaluate import plots, wording
from sightline.evaluate.bounds import share
from sightline.evaluate.crossing import crossing
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.extra import require
from sightline.evaluate.gallery import cells, worst_escapes, worst_overkills
from sightline.evaluate.known_plots import reliability_plot
from sightline.evaluate.particulars import axis, details, headlines, metrics, provenance
from sightline.evaluate.pictures import legend, scale_of
from sightline.runtime.recipe import write_atomically

TEMPLATES = Path(__file__).parent / "templates"
VERDICTS = (Verdict.OK, Verdict.REVIEW, Verdict.NG)


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
        write_atomically(path, page.encode("utf-8"))
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
        percent=wording.percent,
        figure=wording.figure,
        ms=wording.milliseconds,
        seen=wording.seen,
        share=share,
        of=wording.of,
        span=wording.span,
        interval=wording.interval,
        gain=wording.gain,
    )
    return environment


def _context(evaluation: Evaluation, created: datetime) -> dict[str, Any]:
    markup = require("markupsafe", "jinja2").Markup
    scale, known = scale_of(evaluation.card), evaluation.recognition
    return {
        "evaluation": evaluation,
        "card": evaluation.card,
        "created": created.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "verdicts": [(verdict, evaluation.count(verdict)) for verdict in VERDICTS],
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
        "reliability": markup(reliability_plot(None if known is None else known.confidence)),
        "crossing": crossing(evaluation),
        "boxes": {} if known is None or known.boxes is None else {kind.name: kind for kind in known.boxes.types},
        "provenance": provenance(evaluation.card),
        "details": details(evaluation.card),
    }
