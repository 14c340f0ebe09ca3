"""Suggested labels, accepted or corrected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sightline.core.region import Rectangle, Region
from sightline.data.suggestion import settle, suggest
from sightline.runtime.inspector import Inspector

HASH = "a" * 64


def test_a_flaw_is_outlined_and_a_good_part_is_called_good(judge: Inspector, draw: Callable[..., Any]) -> None:
    image, mask = draw(100, flawed=True)
    suggested = suggest(judge.inspect(image), HASH)
    assert suggested.label == "defective" and suggested.suggested_by == HASH and suggested.outcome is None
    drawn = suggested.regions[0].mask(*mask.shape)
    assert (drawn & (mask > 0)).sum() / (mask > 0).sum() > 0.5
    good = suggest(judge.inspect(draw(3)[0]), HASH)
    assert (good.label, good.regions, good.types) == ("good", (), ())


def test_accepted_or_corrected(judge: Inspector, draw: Callable[..., Any]) -> None:
    image, _ = draw(100, flawed=True)
    size = image.shape[:2]
    suggested = suggest(judge.inspect(image), HASH)
    taken = replace(suggested, author="ann", suggested_by=None)
    assert settle(suggested, taken, *size).outcome == "accepted"
    assert settle(suggested, taken, *size).suggested_by == HASH
    for other in (
        replace(taken, types=("stain",)),
        replace(taken, grade=2),
        replace(taken, regions=(Region("stain", Rectangle(0, 0, 10, 10)),)),
        replace(taken, label="good", types=(), regions=()),
    ):
        assert settle(suggested, other, *size).outcome == "corrected"
