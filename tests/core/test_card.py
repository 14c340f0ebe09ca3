"""The recipe card: all of it survives JSON, and nothing unknown gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sightline.core.card import SCHEMA, Bounded, Calibration, Card
from sightline.runtime.recipe import Recipe


@pytest.fixture
def values(recipe: Recipe) -> dict[str, Any]:
    """A real card as plain JSON values."""
    return json.loads(recipe.card.model_dump_json())


def test_a_card_survives_json(recipe: Recipe) -> None:
    full = recipe.card.model_copy(
        update={
            "types": ("scratch", "Dellen & 部品"),
            "grades": ("A", "B"),
            "mm_per_px": 0.05,
            "roi": (0.1, 0.2, 0.3, 0.4),
            "choices": {"size": "as the images"},
        }
    )
    assert Card.model_validate_json(full.model_dump_json()) == full
    assert Card.model_validate_json(recipe.card.model_dump_json()) == recipe.card


def test_optional_fields_have_defaults(values: dict[str, Any]) -> None:
    required = {name for name, field in Card.model_fields.items() if field.is_required()}
    card = Card.model_validate({name: values[name] for name in required})
    assert card.schema_version == SCHEMA
    assert (card.types, card.grades, card.mm_per_px, card.parity) == ((), (), None, None)
    assert card.roi == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("part", [None, "band", "calibration", "provenance", "parity"])
def test_an_unknown_field_is_refused_everywhere(values: dict[str, Any], part: str | None) -> None:
    target = values if part is None else values[part]
    target["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Card.model_validate(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 31),
        ("height", 0),
        ("scale", 0.0),
        ("scale", float("inf")),
        ("mm_per_px", -1.0),
        ("mm_per_px", float("nan")),
        ("border", 1.0),
        ("bank", 0),
        ("roi", [0, 0, 1]),
        ("band", {"low": 2, "high": 1}),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(values: dict[str, Any], field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Card.model_validate(values | {field: value})


def test_a_card_cannot_be_changed_after_loading(recipe: Recipe) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        recipe.card.product = "other"  # type: ignore[misc]


def test_a_rate_has_sane_numbers() -> None:
    with pytest.raises(ValidationError, match="upper"):
        Bounded(count=0, of=1, upper=1.5, confidence=0.95)
    with pytest.raises(ValidationError, match="confidence"):
        Bounded(count=0, of=1, upper=0.5, confidence=1.0)


def test_every_field_explains_itself() -> None:
    for model in (Card, Calibration, Bounded):
        assert all(field.description for field in model.model_fields.values()), model


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ({"overlap_px": 65, "least": 1, "most": 4}, "cannot overlap by 65 px"),
        ({"overlap_px": 32, "least": 5, "most": 4}, "more than the most"),
        ({"overlap_px": -1, "least": 1, "most": 4}, "greater than or equal to 0"),
        ({"overlap_px": 32, "least": 0, "most": 4}, "greater than or equal to 1"),
    ],
)
def test_tiles_that_cannot_be_laid_are_refused(tiles: dict[str, int], words: str, values: dict[str, Any]) -> None:
    values |= {"width": 128, "height": 256}
    assert Card.model_validate({**values, "tiles": {"overlap_px": 64, "least": 4, "most": 4}}).tiles is not None
    with pytest.raises(ValidationError, match=words):
        Card.model_validate({**values, "tiles": tiles})
