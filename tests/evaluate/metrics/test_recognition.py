"""What a recipe's words are worth: types, boxes, stated probabilities; in the table and in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.card import Recognition
from sightline.core.sample import Sample
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.report.report import write_report


@pytest.fixture
def typed(inspector: Any) -> Any:
    """Says scratch with 90 % of what is bright, dent with 60 % of what is less so, and marks what is hot."""
    card = inspector.card.model_copy(
        update={"types": ("dent", "scratch"), "recognition": Recognition(exclusive=True), "grades": ("0", "1")}
    )

    class Typed:
        def __init__(self) -> None:
            self.card = card

        def inspect(self, source: Any) -> Any:
            observed = inspector.inspect(source)
            shares = {"dent": 0.02, "scratch": 0.9} if observed.score > 9 else {"dent": 0.6, "scratch": 0.02}
            shares = shares if observed.score > 2 else {"dent": 0.05, "scratch": 0.05}
            maps = np.zeros((2, *observed.heat.shape), np.float32)
            maps[int(shares["scratch"] > 0.5)] = observed.heat > 3
            grade = int(observed.score > 2)
            return replace(observed, types=shares, defect_share=maps.max(0), class_maps=lambda: maps, grade=grade)

    return Typed()


@pytest.fixture
def marked(lot: list[Sample]) -> list[Sample]:
    return [replace(sample, grade=None if sample.defective is None else int(sample.defective)) for sample in lot]


def test_types_boxes_and_confidence(typed: Any, marked: list[Sample]) -> None:
    found = evaluate(typed, marked).recognition
    assert found is not None and found.types is not None and found.boxes is not None and found.confusion is not None
    scratch = next(kind for kind in found.types.types if kind.name == "scratch")
    assert (scratch.recall.count, scratch.recall.of, scratch.precision.of) == (3, 3, 3) and scratch.ap == 1.0
    # Two bright good parts are named dent; of the two dents one is found.
    assert len(found.confusion.cell("good", "dent")) == 2 and len(found.confusion.cell("dent", "good")) == 1
    assert found.boxes.map50 is not None and {kind.name for kind in found.boxes.types} == {"scratch", "dent"}
    assert next(kind for kind in found.boxes.types if kind.name == "scratch").ap50 == pytest.approx(1.0)
    assert found.confidence is not None and found.confidence.ece is not None and 0 < found.confidence.ece < 0.5
    assert found.temperature is not None and found.temperature.parts == 11
    assert found.grades is not None and found.grades.adjacent_rate.count == 11


def test_the_same_figures_are_in_the_json_and_in_the_table(typed: Any, marked: list[Sample]) -> None:
    found = evaluate(typed, marked)
    told = found.to_json()["recognition"]
    assert told["boxes"]["map50"] == found.recognition.boxes.map50  # type: ignore[union-attr]
    assert told["calibration"]["ece"] is not None and told["temperature"]["value"] > 0
    text = str(found)
    assert all(words in text for words in ("Boxes: mAP50", "calibration error", "Dice", "IoU", "kappa", "AP"))
    assert max(map(len, text.splitlines())) <= 120


def test_the_report_opens_cells_on_their_images(typed: Any, marked: list[Sample], tmp_path: Path) -> None:
    page = write_report(evaluate(typed, marked, explained=1), tmp_path / "report.html").read_text()
    assert "What was taken for what" in page and 'href="#types-' in page
    for words in ("Known types", "mAP50, mAP50-95", "Calibration error", "Grades", "Does the heat explain the score?"):
        assert words in page
    key = page.split('href="#types-', 1)[1].split('"', 1)[0]
    section = page.split(f'id="types-{key}"', 1)[1].split("</div>", 1)[0]
    assert "data:image/webp;base64," in section
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org", "")
