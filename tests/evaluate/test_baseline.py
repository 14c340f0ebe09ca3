"""The golden template beside the recipe."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.core.sample import Sample
from sightline.evaluate.evaluation import evaluate
from sightline.runtime.image import content_hash


@pytest.fixture
def trained(inspector: Any, shoot: Any) -> tuple[Any, list[Sample]]:
    references = [shoot(f"reference{number}.png", 0, False) for number in range(6)]
    hashes = tuple(content_hash(sample.path) for sample in references)
    inspector.card = inspector.card.model_copy(update={"trained_on": hashes})
    return inspector, references


def test_both_judge_the_same_parts(trained: tuple[Any, list[Sample]], lot: list[Sample]) -> None:
    inspector, references = trained
    found = evaluate(inspector, lot, references=references).baseline
    assert found is not None and (found.templates, found.images, found.of) == (6, 11, 11)
    # A bright patch on a part that never changes is what a template is made for.
    assert found.difference.first is not None and found.difference.first > 0.7
    assert found.difference.second == pytest.approx(27 / 30)
    assert found.difference.value == pytest.approx(found.difference.second - found.difference.first)


def test_good_parts_that_were_not_trained_on_make_no_template(
    trained: tuple[Any, list[Sample]], lot: list[Sample]
) -> None:
    inspector, _ = trained
    assert evaluate(inspector, lot, references=lot).baseline is None
    assert evaluate(inspector, lot).to_json()["rule_based"] is None


def test_the_gain_is_in_the_table(trained: tuple[Any, list[Sample]], lot: list[Sample]) -> None:
    inspector, references = trained
    assert "Golden template (rules)" in str(evaluate(inspector, lot, references=references))
