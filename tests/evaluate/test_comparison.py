"""Two recipes on the same parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.core.result import Band, Verdict
from sightline.core.sample import Sample
from sightline.evaluate.comparison import compare
from sightline.evaluate.report.comparison import text, write_comparison
from sightline.imaging.image import content_hash


@pytest.fixture
def stricter(inspector: Any) -> Any:
    """The same scores, judged NG from 2 on."""

    class Stricter:
        card = inspector.card.model_copy(update={"band": Band(low=0.8, high=2.0)})

        def inspect(self, source: Any) -> Any:
            from dataclasses import replace

            observed = inspector.inspect(source)
            return replace(observed, verdict=self.card.band.decide(observed.score))

    return Stricter()


def test_who_errs_where(inspector: Any, stricter: Any, lot: list[Sample]) -> None:
    found = compare(inspector, stricter, lot)
    assert (found.good, found.defective, found.left_out_unlabelled) == (6, 5, 1)
    # dent_ok escapes the first alone; good_review is overkilled by the second alone, good_ng by both.
    assert (found.escapes.only_first, found.escapes.only_second) == (0, 1)
    assert (found.overkills.only_first, found.overkills.only_second, found.overkills.neither) == (1, 0, 1)
    assert found.errors.parts == 11 and found.errors.p_value == 1.0
    assert found.auroc.value == 0.0 and found.auroc.first == pytest.approx(27 / 30)
    assert found.reviews[0] == 2


def test_changes_come_with_their_direction_the_worse_first(inspector: Any, stricter: Any, lot: list[Sample]) -> None:
    found = compare(inspector, stricter, lot)
    changes = {change.path.stem: change.better for change in found.changed}
    assert changes["good_review"] is False and changes["dent_review"] is True and changes["dent_ok"] is True
    assert [change.better for change in found.changed] == sorted(changes.values())
    first = next(change for change in found.changed if change.path.stem == "dent_review")
    assert (first.first.verdict, first.second.verdict) == (Verdict.REVIEW, Verdict.NG)


def test_an_image_that_cannot_be_read_is_ng_for_both(
    inspector: Any, stricter: Any, lot: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_text("no image")
    found = compare(inspector, stricter, [*lot, Sample(tmp_path / "broken.png", False)])
    assert found.good == 7 and found.overkills.neither == 2
    assert "broken" not in {change.path.stem for change in found.changed}


def test_parts_of_either_training_are_left_out(inspector: Any, stricter: Any, lot: list[Sample]) -> None:
    stricter.card = stricter.card.model_copy(update={"trained_on": (content_hash(lot[0].path),)})
    found = compare(inspector, stricter, lot)
    assert found.good == 5 and found.left_out_trained == 1
    stricter.card = stricter.card.model_copy(update={"trained_on": tuple(content_hash(s.path) for s in lot)})
    with pytest.raises(InputError, match="include_trained"):
        compare(inspector, stricter, lot)


def test_the_report_and_the_text(inspector: Any, stricter: Any, lot: list[Sample], tmp_path: Path) -> None:
    found = compare(inspector, stricter, lot)
    page = write_comparison(found, tmp_path / "compare.html").read_text()
    assert page.count("data:image/webp") >= 3 * len(found.changed)
    assert "Changed for the worse: " in page and "<script" not in page
    for heading in ("The part", "Heat of the first", "Heat of the second"):
        assert page.count(f'<p class="unit">{heading}</p>') == len(found.changed)
    assert page.count('<div class="legend">') == 2  # each recipe has a scale of its own
    message = text(found)
    assert "parts changed verdict" in message and "No difference may be concluded" in message
    assert found.to_json()["changed"][0]["better"] is False
