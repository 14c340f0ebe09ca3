"""Calibration: thresholds with exact bounds, and promises that say no more than the sample does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from typer.testing import CliRunner

import sightline
from sightline.cli import app
from sightline.core.card import Calibration, Card
from sightline.core.errors import RecipeError, SettingError
from sightline.core.result import Band, Verdict
from sightline.evaluate.statistics.intervals import rate, upper_bound
from sightline.evaluate.thresholds import Pictures, Targets, calibrate, held_out_scores, ng_limit
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe, read_floats
from sightline.runtime.signature import make_keys, sign, verify

NONE = np.empty(0)


def _calibrate(
    good: NDArray[np.float64], defective: NDArray[np.float64] = NONE, **targets: float
) -> tuple[Band, Calibration]:
    return calibrate(good, defective, good, Targets(**targets))


def _shuffled(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).permutation(values)


GOOD = _shuffled(np.arange(1.0, 101.0))  # 1 to 100


# Good parts alone


def test_20_good_parts_promise_an_overkill_of_13_9_percent() -> None:
    band, calibration = _calibrate(_shuffled(np.arange(20.0)))
    assert band.low == 17.0
    assert band.high == pytest.approx(9.5 + 2 * (17.1 - 9.5))  # ln(0.5 / 0.02) is twice ln(0.5 / 0.1)
    assert (calibration.overkill.count, calibration.overkill.of) == (0, 20)
    assert calibration.overkill.upper == pytest.approx(1 - 0.05 ** (1 / 20))
    assert calibration.promises[0] == "20 good parts: overkill at most 13.9% at 95% confidence"


@pytest.mark.parametrize("count", [5, 20, 60, 140])
@pytest.mark.parametrize("tail", ["uniform", "normal", "exponential", "lognormal", "t2"])
def test_the_bound_holds_in_95_of_100_calibrations(count: int, tail: str) -> None:
    """Draw calibration sets over and over: the true overkill passes its bound in at most 5 % of them."""
    scores = {
        **{"uniform": stats.uniform(), "normal": stats.norm(), "exponential": stats.expon()},
        **{"lognormal": stats.lognorm(1), "t2": stats.t(2)},
    }[tail]
    rng, broken = np.random.default_rng(0), 0
    for good in scores.rvs((1000, count), random_state=rng):
        limit = ng_limit(np.sort(good), 0.02)
        broken += bool(scores.sf(limit) > upper_bound(int((good > limit).sum()), count))
    assert broken <= 50 + 2 * 7  # two standard errors of 1,000 draws


def test_the_bound_of_an_order_statistic_is_exact() -> None:
    rng = np.random.default_rng(0)
    broken = 0
    for good in rng.random((2000, 150)):
        band, calibration = _calibrate(good, overkill=0.02)
        broken += (1 - band.high) > calibration.overkill.upper  # scores are uniform: the rate above `high`
    assert 0.035 < broken / 2000 < 0.065


def test_one_odd_part_does_not_set_the_limit() -> None:
    good = np.sort(np.r_[np.linspace(-1, 1, 30), 40.0])
    assert ng_limit(good, 0.02) < 3
    band, calibration = _calibrate(good)
    assert band.decide(40.0) is Verdict.NG
    assert calibration.overkill.count == 1 and calibration.overkill.upper > 0.14


def test_the_limit_of_few_parts_lies_above_them() -> None:
    band, calibration = _calibrate(GOOD)
    assert band.high == pytest.approx(50.5 + 2 * (90.1 - 50.5))
    assert calibration.overkill.count == 0


@pytest.mark.parametrize("count", [300, 1000, 5000])
def test_with_many_good_parts_as_many_lie_above_as_the_bound_allows(count: int) -> None:
    good = _shuffled(np.arange(float(count)))
    band, calibration = _calibrate(good, overkill=0.01)
    above = int((good > band.high).sum())
    assert above == calibration.overkill.count
    assert calibration.overkill.upper <= 0.01 < upper_bound(above + 1, count)


@pytest.mark.parametrize(("review", "low"), [(0.05, 95.0), (0.2, 80.0), (0.001, 100.0)])
def test_the_lower_threshold_is_an_order_statistic(review: float, low: float) -> None:
    band, calibration = _calibrate(GOOD, review=review)
    assert band.low == low
    assert calibration.review.count == int((low < GOOD).sum()) == int(review * 100)


def test_the_lower_threshold_never_passes_the_upper_one() -> None:
    band, _ = _calibrate(_shuffled(np.arange(5000.0)), overkill=0.2, review=0.01)
    assert band.low == band.high


def test_the_heat_threshold_is_an_order_statistic_of_the_peaks() -> None:
    peaks = _shuffled(np.arange(100.0, 200.0), seed=1)
    _, calibration = calibrate(GOOD, NONE, peaks, Targets(review=0.05))
    assert calibration.heat_threshold == 194.0


def test_equal_scores_are_all_ok() -> None:
    band, calibration = _calibrate(np.full(30, 2.5))
    assert band == Band(low=2.5, high=2.5)
    assert calibration.overkill.count == calibration.review.count == 0


def test_one_good_part_promises_almost_nothing() -> None:
    band, calibration = _calibrate(np.array([1.0]))
    assert band.low == band.high == 1.0
    assert calibration.overkill.upper == pytest.approx(0.95)


def test_no_good_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one held-out good part"):
        _calibrate(NONE)


def test_the_method_says_what_was_held_out() -> None:
    for by_group, method in ((False, "leave-one-image-out"), (True, "leave-one-group-out")):
        _, calibration = calibrate(GOOD, NONE, GOOD, Targets(), by_group)
        assert calibration.method == method


def test_the_given_scores_are_left_as_they_are() -> None:
    good, defective = GOOD.copy(), np.array([300.0, 200.0])
    calibrate(good, defective, good, Targets())
    assert np.array_equal(good, GOOD)
    assert defective.tolist() == [300.0, 200.0]


# With known defects


def test_the_gap_between_good_and_defective_goes_to_a_person() -> None:
    defective = np.array([240.0, 180.0, 200.0])
    band, calibration = _calibrate(GOOD, defective)
    assert all(band.decide(score) is Verdict.OK for score in GOOD)
    assert all(band.decide(score) is Verdict.NG for score in defective)
    assert [band.decide(score) for score in (100.1, 140.0, 179.9)] == [Verdict.REVIEW] * 3
    assert calibration.escape is not None
    assert (calibration.escape.count, calibration.escape.of) == (0, 3)


def test_overlapping_defects_pull_the_lower_threshold_down() -> None:
    defective = np.array([97.0, 99.0, 150.0])
    band, calibration = _calibrate(GOOD, defective)
    assert band.low == pytest.approx(97.0)
    assert band.low < 97.0
    assert band.high == pytest.approx(129.7)
    assert [band.decide(score) for score in (96.0, 97.0, 99.0, 150.0)] == [
        *(Verdict.OK, Verdict.REVIEW, Verdict.REVIEW, Verdict.NG)
    ]
    assert calibration.escape is not None and calibration.escape.count == 0
    assert calibration.review.count == 4  # 97 to 100


def test_people_review_no_more_good_parts_than_was_asked_for() -> None:
    defective = np.array([10.0, 150.0])  # one defect that looks like a good part
    band, calibration = _calibrate(GOOD, defective, review=0.05)
    assert band.low == 95.0
    assert calibration.review.count == 5
    assert calibration.escape is not None and calibration.escape.count == 1


def test_tolerated_escapes_move_the_threshold_up() -> None:
    defective = np.concatenate([[150.0], np.arange(200.0, 299.0)])
    strict, _ = _calibrate(GOOD, defective, escape=0.001)
    loose, calibration = _calibrate(GOOD, defective, escape=0.01)
    assert strict.high == pytest.approx(150)
    assert loose.high == pytest.approx(200)
    assert loose.low == strict.low == 100.0
    assert calibration.escape is not None and calibration.escape.count == 0


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_are_always_in_order_and_rates_true(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = rng.normal(0, 1, int(rng.integers(1, 400)))
    defective = rng.normal(rng.uniform(-1, 6), 1, int(rng.integers(0, 50)))
    targets = Targets(*rng.uniform(0.001, 0.5, 3))
    band, calibration = calibrate(good, defective, good, targets)
    verdicts = [band.decide(score) for score in good]
    assert band.low <= band.high
    assert calibration.overkill.count == verdicts.count(Verdict.NG)
    assert calibration.review.count == len(good) - verdicts.count(Verdict.OK)
    escaped = [band.decide(score) for score in defective].count(Verdict.OK)
    assert calibration.escape is None if not len(defective) else calibration.escape.count == escaped


# In words


def test_without_defects_nothing_is_promised_about_escapes() -> None:
    _, calibration = _calibrate(GOOD)
    assert calibration.promises == (
        "100 good parts: overkill at most 3.0% at 95% confidence",
        "an overkill of 2.0% needs 149 good parts to be promised",
        "10 of 100 good parts would not be OK: at most 16.4%",
        "no labelled defective parts: nothing can be promised about escapes",
    )


def test_a_target_that_is_met_asks_for_no_more_parts() -> None:
    _, calibration = _calibrate(np.arange(299.0), np.arange(1000.0, 1299.0), overkill=0.01)
    assert calibration.promises == (
        "299 good parts: overkill at most 1.0% at 95% confidence",
        "0 of 299 good parts would not be OK: at most 1.0%",
        "0 of 299 known defective parts judged OK: escape at most 1.0%",
    )


def test_a_few_defects_promise_little_about_escapes() -> None:
    _, calibration = _calibrate(GOOD, np.array([150.0, 160.0, 170.0]))
    assert calibration.promises[-2:] == (
        "0 of 3 known defective parts judged OK: escape at most 63.2%",
        "an escape of 1.0% needs 299 defective parts, all found, to be promised",
    )


# A known defect is not OK


def test_a_known_defect_among_the_good_ones_goes_to_a_person_at_a_stated_price() -> None:
    defective = np.array([60.0, 150.0])
    band, calibration = _calibrate(GOOD, defective, review=0.05)
    assert band.decide(60.0) is Verdict.REVIEW
    assert calibration.escape is not None and calibration.escape.count == 0
    assert "keeping known defects out of OK sends 41 of 100 good parts to a person, 5% were asked for" in (
        calibration.promises
    )


def test_a_defect_that_its_type_gives_away_does_not_move_the_threshold() -> None:
    defective, caught = np.array([60.0, 98.0]), np.array([True, False])
    band, calibration = calibrate(GOOD, defective, GOOD, Targets(review=0.05), caught=caught)
    assert 97.0 < band.low < 98.0
    assert calibration.escape is not None and calibration.escape.count == 0


def test_parts_that_go_to_a_person_whatever_they_score_count_as_such() -> None:
    outside = np.zeros(100, bool)
    outside[np.argsort(GOOD)[:7]] = True
    _, calibration = calibrate(GOOD, NONE, GOOD, Targets(review=0.05), outside=outside)
    assert calibration.review.count == 12


# Thresholds set by hand: a new revision that says who, when, why, and what it still promises.


def test_the_graph_stays_and_the_card_says_who_why_and_from_what(recipe: Recipe, draw: object) -> None:
    revision = sightline.set_thresholds(recipe, 1.0, 2.0, "limit samples", by="Kim")
    card = Inspector(revision, threads=1).card
    assert (card.band.low, card.band.high) == (1.0, 2.0)
    assert card.revision is not None and card.revision.earlier == recipe.card.band
    assert (card.revision.by, card.revision.reason) == ("Kim", "limit samples")
    assert card.provenance.parent == recipe.hash
    assert card.calibration.promises[2] == "thresholds set by Kim: limit samples"
    image, _ = draw(103, flawed=True)  # type: ignore[operator]
    before, after = Inspector(recipe, threads=1).inspect(image), Inspector(revision, threads=1).inspect(image)
    assert after.score == before.score
    assert after.verdict == card.band.decide(after.score)


def test_promises_are_counted_anew_from_the_scores_in_the_file(recipe: Recipe) -> None:
    scores = np.sort(held_out_scores(recipe))
    assert len(scores) == recipe.card.calibration.good
    assert (scores > recipe.card.band.high).sum() == recipe.card.calibration.overkill.count
    low = float(scores[2])
    calibration = sightline.set_thresholds(recipe, low, low, "strict").card.calibration
    above = len(scores) - 3
    assert calibration.overkill == rate(above, len(scores))
    assert calibration.review == rate(above + recipe.card.ood.outside.count, len(scores))
    assert f"{above} of {len(scores)} held-out good parts score above the NG limit" in calibration.promises[0]


def test_an_escape_bound_holds_only_where_the_ok_limit_is_no_higher(recipe: Recipe) -> None:
    escape = recipe.card.calibration.escape
    band = recipe.card.band
    assert escape is not None
    lower = sightline.set_thresholds(recipe, band.low - 1, band.high, "strict").card.calibration
    higher = sightline.set_thresholds(recipe, band.low + 1, band.high + 1, "mild").card.calibration
    assert lower.escape == escape
    assert higher.escape is None
    assert any("nothing is promised about escapes" in line for line in higher.promises)


@pytest.mark.parametrize(
    ("ok", "ng", "reason", "said"),
    [
        (2.0, 1.0, "x", "swap them"),
        (1.0, 2.0, " ", "reason"),
        (float("nan"), 2.0, "x", "not numbers"),
        (float("-inf"), 1.0, "x", "not numbers"),
    ],
)
def test_what_makes_no_thresholds_is_refused(recipe: Recipe, ok: float, ng: float, reason: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        sightline.set_thresholds(recipe, ok, ng, reason)


def test_a_recipe_that_never_says_ok_keeps_it_so(recipe: Recipe) -> None:
    card = recipe.card
    never = card.model_copy(update={"calibration": card.calibration.model_copy(update={"known": 3})})
    with pytest.raises(RecipeError, match="never says OK"):
        sightline.set_thresholds(Recipe(recipe.data, never), 1.0, 2.0, "x")


def test_the_command_writes_a_new_file_that_must_be_signed_again(recipe_file: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "key.pem", tmp_path / "key.pub")
    signed = tmp_path / "plates.onnx"
    signed.write_bytes(sign(recipe_file.read_bytes(), tmp_path / "key.pem"))
    command = ["threshold", str(signed), "--ok", "1.5", "--ng", "2.5", "--reason", "limit samples"]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    assert "Sign it with: sightline sign" in said.output
    made = tmp_path / "plates-2.onnx"
    with pytest.raises(RecipeError, match="is not signed"):
        verify(made.read_bytes(), tmp_path / "key.pub")
    verify(sign(made.read_bytes(), tmp_path / "key.pem"), tmp_path / "key.pub")
    assert Recipe.load(made).card.provenance.parent == Recipe.load(signed).hash
    again = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert again["recipe"].endswith("plates-3.onnx") and again["must_be_signed"]
    for wrong in (["-o", str(signed)], ["-o", str(tmp_path)]):
        assert CliRunner().invoke(app, [*command, *wrong]).exit_code != 0
    assert signed.read_bytes().startswith(recipe_file.read_bytes()[:1000])


def test_one_card_is_in_the_file_and_nothing_else_has_changed(recipe: Recipe) -> None:
    import onnx

    before, after = (
        onnx.load_from_string(recipe.data),
        onnx.load_from_string(sightline.set_thresholds(recipe, 1.0, 2.0, "x").data),
    )
    keys = [prop.key for prop in after.metadata_props]
    assert sorted(keys) == sorted(prop.key for prop in before.metadata_props)
    assert after.graph == before.graph
    card = next(prop.value for prop in after.metadata_props if prop.key == "sightline")
    assert Card.model_validate_json(card).band.low == 1.0
    assert read_floats(recipe.data, "no such name") is None


def test_limits_of_equal_pictures_are_those_of_parts() -> None:
    scores = np.sort(np.random.default_rng(3).normal(size=57))
    equal = Pictures.of(scores)
    assert equal.quantile(0.9) == pytest.approx(np.quantile(scores, 0.9))
    assert [equal.limit(above) for above in (0.0, 0.1, 0.5)] == [scores[56], scores[51], scores[28]]


def test_pictures_of_one_part_share_its_weight() -> None:
    """Nine pictures of one odd part among nine others move a limit as one picture of it does."""
    scores, weights = np.array([*range(9), *[50.0] * 9]), np.array([*[0.1] * 9, *[0.1 / 9] * 9])
    single = Pictures.of(np.array([*range(9), 50.0]))
    assert Pictures.sorted(scores, weights).limit(0.1) == single.limit(0.1) == 8.0


def test_few_groups_of_many_pictures_set_limits_by_pictures_and_bounds_by_groups() -> None:
    """Six modules of twenty cells each: the worst cell of each would put the OK limit above most defects."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 20))
    worst = scores.max(axis=1)
    each = (scores.ravel(), np.full(120, 1 / 120))
    band, calibration = calibrate(worst, NONE, worst, Targets(), True, 120, pictures=each)
    assert (scores > band.low).mean() == 0.1 and band.low < np.median(worst)
    assert (scores > band.high).mean() <= 0.03 and band.high < worst.max() + 1
    assert calibration.review.count == (worst > band.low).sum() and calibration.review.of == 6
