"""Self-learning follows what good parts share, and cannot learn a known defect, whatever slips in among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.result import Band, Verdict
from sightline.improve.admission import Bounds, admit, defect_patches
from sightline.improve.canary import KnownPart, compare, in_question
from sightline.improve.patches import PatchReader, nearest
from sightline.improve.self_learning import Learner
from sightline.runtime.adaptation import OWN
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

Picture = NDArray[np.uint8]
Draw = Callable[..., tuple[Picture, Any]]


def striped(picture: Picture, number: int) -> Picture:
    """How parts look since the new supplier: a faint stripe, which moves a little from part to part."""
    changed = picture.astype(np.int16)
    top = 40 + number % 3
    changed[top : top + 6] += 14
    return np.clip(changed, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def reader(recipe: Recipe) -> PatchReader:
    return PatchReader(recipe, threads=1)


def test_patches_are_those_of_the_graph(reader: PatchReader, recipe: Recipe, draw: Draw) -> None:
    part = reader.read(draw(50)[0])
    assert part.score == pytest.approx(Inspector(recipe, threads=1).inspect(draw(50)[0]).score, abs=1e-4)
    for name, level in reader.levels.items():
        assert part.keys[name].shape == (np.prod(part.grids[name]), level.bank.shape[1])
        assert np.allclose(nearest(part.keys[name], level.bank), part.distances[name], atol=2e-2)


def test_a_patch_needs_other_parts_and_own_entries_stay(reader: PatchReader, draw: Draw) -> None:
    own = reader.own
    many = [reader.read(striped(draw(number)[0], number)) for number in range(60, 68)]
    none = {name: np.zeros((0, level.bank.shape[1]), np.float32) for name, level in reader.levels.items()}
    learned = admit(many, own, reader.levels, none, 1, Bounds())
    assert sum(learned.added.values()) > 0
    alone = admit(many[:1], own, reader.levels, none, 1, Bounds())
    assert sum(alone.added.values()) == 0 and alone.unsupported > 0
    small = Bounds(round_share=0.2, quota=0.02)
    full = own
    for change in range(1, 5):
        full = admit(many, full, reader.levels, none, change, small).adaptation
    for name, origin in full.origins.items():
        entries = len(own.banks[name])
        assert (origin == OWN).sum() == entries and (origin != OWN).sum() <= 0.02 * entries
        assert np.array_equal(full.banks[name][origin == OWN], own.banks[name])


def test_what_looks_like_a_known_defect_does_not_join(reader: PatchReader, recipe: Recipe, draw: Draw) -> None:
    flawed = [reader.read(draw(number, flawed=True)[0]) for number in range(100, 108)]
    defects = defect_patches(flawed, recipe.card.calibration.heat_threshold, reader.levels)
    everything = Bounds(support=0, round_share=2.0, quota=2.0)
    none = {name: keys[:0] for name, keys in defects.items()}
    guarded = admit(flawed, reader.own, reader.levels, defects, 1, everything)
    free = admit(flawed, reader.own, reader.levels, none, 1, everything)
    assert guarded.near_defect > 0 and sum(guarded.added.values()) < sum(free.added.values())


def test_parts_that_changed_are_learned_and_defects_stay_defects(recipe: Recipe, draw: Draw) -> None:
    known = [KnownPart(f"d{number}", draw(number, flawed=True)[0], True) for number in range(100, 106)]
    learner = Learner(recipe, known, threads=1)
    plain = Inspector(recipe, threads=1)
    parts = [striped(draw(number)[0], number) for number in range(60, 72)]
    before = np.mean([plain.inspect(part).score for part in parts])
    found = learner.learn(None, [], parts, 1)
    assert found.adaptation is not None and found.added > 0, found.reason
    plain.adapt(found.adaptation)
    fresh = [striped(draw(number)[0], number) for number in range(80, 88)]
    assert np.mean([plain.inspect(part).score for part in fresh]) < before
    assert found.canary is not None and not found.canary.lost
    assert all(plain.inspect(part.source).verdict is not Verdict.OK for part in known)
    # The same parts again: they score as good parts do now, or nothing more is to be had of them.
    again = learner.learn(found.adaptation, [], [draw(number)[0] for number in range(60, 72)], 2)
    assert again.adaptation is None and "when the recipe was made" in again.reason


def test_the_canary_refuses_what_would_let_a_known_defect_pass(recipe: Recipe, draw: Draw) -> None:
    flawed = draw(70)[0]  # people see what is wrong with it; the picture as a whole shows the product
    everywhere = (0, 0, flawed.shape[1], flawed.shape[0])
    free = Learner(recipe, [], threads=1).forgive(None, flawed, everywhere, 1)
    assert free.adaptation is not None
    inspector = Inspector(recipe, threads=1)
    before = inspector.inspect(flawed).score
    inspector.adapt(free.adaptation)
    after = inspector.inspect(flawed).score
    assert after < before
    # The same recipe with a limit between the two: the change makes the difference between REVIEW and OK.
    middle = (before + after) / 2
    close = recipe.with_card(recipe.card.model_copy(update={"band": Band(low=middle, high=before + 1)}))
    known = [KnownPart("scratch", flawed, True)]
    found = Learner(close, known, threads=1).forgive(None, flawed, everywhere, 1)
    assert found.adaptation is None and found.canary is not None and found.canary.lost == ("scratch",)
    assert "scratch" in found.reason


def test_random_answers_teach_nothing_that_lets_known_defects_pass(recipe: Recipe, draw: Draw) -> None:
    known = [KnownPart(f"d{number}", draw(number, flawed=True)[0], True) for number in range(100, 108)]
    learner = Learner(recipe, known, threads=1)
    called_good = [draw(number, flawed=True)[0] for number in range(110, 122)]
    found = learner.learn(None, [], called_good, 1)
    inspector = Inspector(recipe, threads=1)
    inspector.adapt(found.adaptation)
    assert all(inspector.inspect(part.source).verdict is not Verdict.OK for part in known)


def test_too_few_parts_and_missing_pictures_teach_nothing(recipe: Recipe, draw: Draw) -> None:
    learner = Learner(recipe, [], threads=1)
    found = learner.learn(None, ["/nowhere/1.png", draw(60)[0]], [], 1)
    assert found.adaptation is None and found.parts <= 1 and "too few" in found.reason


def test_what_changed_is_named_by_part() -> None:
    known = [KnownPart(name, "", name.startswith("d")) for name in ("d1", "d2", "d3", "d4", "g1", "g2", "g3", "g4")]
    after = {"d1": Verdict.OK, "d2": Verdict.REVIEW, "d3": Verdict.OK, "d4": Verdict.NG}
    after |= {"g1": Verdict.REVIEW, "g2": Verdict.OK, "g4": Verdict.NG}
    asked = [part.name for part in in_question(known, after)]
    assert asked == ["d1", "d2", "d3", "g1", "g4"]  # of the others it does not matter what they were
    before = {"d1": Verdict.NG, "d2": Verdict.NG, "d3": Verdict.OK, "g1": Verdict.OK}
    found = compare(known, before, after)
    assert (found.lost, found.weakened, found.golden) == (("d1",), ("d2",), ("g1",))
    assert found.unread == () and not found.passed
    assert replace(found, lost=(), golden=()).passed
    # A defective part that nobody can judge may be one that passes.
    unread = compare(known[:4], {}, {"d4": Verdict.NG})
    assert unread.unread == ("d1", "d2", "d3") and not unread.passed and "cannot be read" in unread.reason
