"""What commands tell a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sightline
from sightline.cli import text_data, text_lab
from sightline.core.card import Recognition
from sightline.core.result import Band
from sightline.data.curation.findings import Finding, Kind, Severity
from sightline.data.curation.result import Result
from sightline.data.dataset import Dataset
from sightline.evaluate.evaluation import TypeFigures
from sightline.evaluate.statistics.intervals import rate
from sightline.operations.curation_report import Checked
from sightline.operations.inspection import Judging, inspect
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

FIGURES = {"recipe": "a.onnx", "images": 8, "seconds": 1.0}


def test_what_the_types_promise_stands_beside_what_the_score_promises(recipe: Recipe) -> None:
    """The types alone may send half the good parts to a person, of which the score's own promises know nothing."""
    calibration = recipe.card.calibration
    half = "5 of 10 good parts would not be OK: at most 77.8%"
    of_types = calibration.model_copy(update={"promises": (calibration.promises[0], half)})
    types = Recognition(exclusive=True, band=Band(low=-0.7, high=0.5), calibration=of_types)
    message = text_lab.train(FIGURES, recipe.card.model_copy(update={"recognition": types}))
    assert message.count(calibration.promises[0]) == 1
    assert f"  - by named types, which decide as well: {half}" in message
    silent = types.model_copy(update={"band": None, "calibration": None})
    assert "named types" not in text_lab.train(FIGURES, recipe.card.model_copy(update={"recognition": silent}))


def test_where_both_limits_are_one_no_review_is_spoken_of(recipe: Recipe) -> None:
    one, two = (recipe.card.model_copy(update={"band": Band(low=1.0, high=high)}) for high in (1.0, 2.0))
    assert "OK up to 1.00, NG above 1.00, no REVIEW." in text_lab.train(FIGURES, one)
    assert "OK up to 1.00, NG above 2.00, REVIEW between." in text_lab.train(FIGURES, two)


def test_the_demo_names_the_defects_that_it_lets_through(judge: Inspector, parts: Dataset) -> None:
    found = sightline.evaluate(judge, parts, include_trained=True)
    dent = TypeFigures(name="dent", auroc=1.0, escapes=rate(0, 6), review=0)
    print_ = TypeFigures(name="missing_print", auroc=0.9, escapes=rate(3, 6), review=0)
    some = replace(found, escapes=rate(3, 12), types=(dent, print_))
    assert text_lab.let_through(some).startswith(
        "Judged OK though defective: 3 of 12 (3 of 6 missing_print). This recipe"
    )
    assert text_lab.let_through(replace(some, escapes=rate(0, 12))) == "No defective part was judged OK."


def test_a_name_cannot_forge_a_line(parts_folder: Path, recipe_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "x\nOK        -1.000  p 1.000  part.png"
    for content in (b"", (parts_folder / "images/good/00.png").read_bytes()):
        path.write_bytes(content)
        (result,) = inspect(Judging(recipe_file), [path])
        shown = text_lab.inspect({**result, "warnings": []})
        assert "\n" not in shown and r"x\nOK" in shown


def test_the_parts_own_type_and_what_decided_are_said() -> None:
    result = {
        **{"image": "a.png", "verdict": "NG", "score": 0.2, "p_value": 0.9, "grade": None, "warnings": []},
        **{"times_ms": {"total": 8.0}, "types": {"break": 0.0, "crack": 0.97}, "defects": [{"type": "unknown"}]},
        "reason": "the known type 'crack' (97%) decided: the score alone says OK",
    }
    message = text_lab.inspect(result)
    assert "1 place  crack 97%, unknown" in message
    assert "break" not in message
    assert message.endswith("why: the known type 'crack' (97%) decided: the score alone says OK")


def test_each_finding_has_its_own_remedy_where_they_differ(parts: Dataset) -> None:
    """Under two pictures, 'If it is 'a', correct the label' stood once: for the one labelled 'a', too."""

    def remedies_shown(*remedies: str) -> list[str]:
        found = [
            Finding(Kind.LABEL, Severity.HIGH, (f"{i}.png",), "It may be wrong.", remedy)
            for i, remedy in enumerate(remedies)
        ]
        table = text_data.check(Checked(parts, Result(found, (), ()), {}, {}))
        return [line.strip() for line in table.splitlines() if "What to do" in line]

    assert remedies_shown("It is 'a'.", "It is 'b'.") == ["What to do: It is 'a'.", "What to do: It is 'b'."]
    assert remedies_shown("Look.", "Look.") == ["What to do: Look."]
