"""The search as a whole: real trainings on drawn parts, the result, the report and several processes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sightline
from sightline.core.errors import InputError, SettingError
from sightline.data.dataset import Dataset
from sightline.runtime.inspector import Inspector
from sightline.train.search.report import write_search_report
from sightline.train.search.result import SearchResult

TINY: dict[str, Any] = {"side_px": 96, "bank_size": 256, "sample_patches": 4000, "threads": 1, "synthetic": 8}
FEW: dict[str, Any] = {"trials": 2, "folds": 2, "backbones": ("lite0",), "align": "never", "precision": "f32", **TINY}

Search = Callable[..., SearchResult]


@pytest.fixture(scope="module")
def found(parts: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return sightline.search(parts, study=tmp_path_factory.mktemp("study") / "study.db", **FEW)


def test_a_search_ends_in_a_recipe_with_the_chosen_settings(found: SearchResult, parts: Dataset) -> None:
    assert [trial.state for trial in found.trials] == ["finished", "finished"]
    assert found.chosen in found.trials and found.front
    assert not found.synthetic
    assert (found.good, found.defective) == (10, 4)
    card = found.recipe.card
    assert card.provenance.settings["key_size"] == found.settings.key_size == found.changes()["key_size"]
    assert card.product == "plates"
    bands = [card.band, *([card.recognition.band] if card.recognition and card.recognition.band else [])]
    assert any("Known types decide" in note for note in found.notes) == (len(bands) == 2)
    assert all(band.low == band.high for band in bands)  # a review has no price, so there is none
    assert len(card.trained_on) == len(parts.train)
    assert found.trials[0].cost is not None and found.trials[0].cost.escapes.of == 4
    assert Inspector(found.recipe, threads=1).inspect(parts.test.samples[0].path).score


def test_the_result_is_plain_json_and_words(found: SearchResult) -> None:
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["trials"][0]["default"] is True
    assert data["trials"][0]["cost_upper"] >= data["trials"][0]["cost"]
    assert set(data["settings"]) == set(found.searched)
    assert "plates: 2 trials (2 finished)" in str(found)
    assert found.why in str(found)
    assert "judging every part OK costs 500, every part NG 1,980" in str(found)


def test_the_report_is_complete_in_itself(found: SearchResult, tmp_path: Path) -> None:
    text = write_search_report(found, tmp_path / "new" / "search.html").read_text()
    assert "<script" not in text and not re.search(r"(src|href)=\"https?:", text)
    assert text.count("<svg") == 1  # two trials do not say what matters
    assert "It takes 10 finished trials to say which settings matter; here are 2." in text
    for word in (
        "judging every part OK costs 500",
        "sigma_cells",
        "bank_size",
        "Price of an escape",
        "4 labelled defective parts",
    ):
        assert word in text
    assert "<th>Settings</th>" in text and text.count("<th>sigma_cells</th>") == 0  # no column each: it fits the page
    assert "None" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_the_report_of_many_trials_has_importances_and_reasons(find: Search, tmp_path: Path) -> None:
    result = find(trials=12, review_price=0.5)
    assert set(result.importances) == {"cost", "ms"}
    assert max(result.importances["ms"], key=result.importances["ms"].__getitem__) == "side_px"
    text = write_search_report(result, tmp_path / "search.html").read_text()
    assert text.count("<svg") == 2 and "Reviews" in text


def test_a_product_name_is_never_markup(find: Search, tmp_path: Path) -> None:
    named = replace(find(trials=1), product="<script>x</script>")
    assert "<script" not in write_search_report(named, tmp_path / "search.html").read_text()


def test_the_report_of_nothing_says_so(find: Search, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="default settings stand"):
        result = find(budget="0.000001s")
    text = write_search_report(result, tmp_path / "search.html").read_text()
    assert "No trial was finished" in text


def test_synthetic_defects_are_named_as_what_they_are(find: Search, parts: Dataset, tmp_path: Path) -> None:
    result = find([s for s in parts.train if s.defective is False], trials=1)
    assert result.synthetic
    assert "Synthetic defects stood in" in str(result)
    text = write_search_report(result, tmp_path / "search.html").read_text()
    assert 'class="alarm"' in text and "synthetic defects" in text


@pytest.mark.slow
def test_processes_share_the_trials(parts: Dataset, tmp_path: Path) -> None:
    result = sightline.search(parts, processes=2, study=tmp_path / "study.db", **{**FEW, "trials": 3})
    assert [trial.state for trial in result.trials] == ["finished"] * 3
    assert sum(trial.default for trial in result.trials) == 1
    assert any("2 processes" in note for note in result.notes)
    assert len({str(trial.params) for trial in result.trials}) == 3


def test_wrong_options_are_refused_before_any_image_is_read() -> None:
    samples = [sightline.Sample(Path("nowhere.png"), False)]
    for wrong in ({"trials": 0}, {"processes": 0}, {"budget": "soon"}, {"no_such": 1}, {"escape_price": -1.0}):
        with pytest.raises(SettingError):
            sightline.search(samples, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="hold nothing out"):
        sightline.search(samples, folds=1)
