"""The runtime for browsers: nothing but what was published gets in, and recipes that it cannot run are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.core.card import Card, GoldenCard, Tiles
from sightline.core.errors import InputError
from sightline.operations.browser_runtime import FILES, browser_runtime, is_there, refusals, runtime_file
from sightline.runtime.recipe import Recipe


def test_another_package_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    package = tmp_path / "onnxruntime-web.tgz"
    package.write_bytes(b"not what was published")
    with pytest.raises(InputError, match="is not onnxruntime-web"):
        browser_runtime(tmp_path / "work", package)
    with pytest.raises(InputError, match="cannot be read"):
        browser_runtime(tmp_path / "work", tmp_path / "gone.tgz")
    assert not (tmp_path / "work").exists()
    assert not is_there(tmp_path / "work")


def test_only_its_own_files_are_found(tmp_path: Path) -> None:
    assert runtime_file(tmp_path, FILES[0]) is None
    for name in ("../store.db", "ort.js", "", "."):
        assert runtime_file(tmp_path, name) is None


def test_what_browsers_cannot_do_is_named(recipe: Recipe) -> None:
    card = recipe.card
    assert refusals(card) == ()
    tiles = Tiles(overlap_px=8, least=1, most=4)
    golden = GoldenCard.model_construct(image="", motion="rigid", max_shift=0.1, max_angle_deg=5, least_correlation=0.5)

    def with_(**changes: object) -> Card:
        return card.model_copy(update=changes)

    assert refusals(with_(tiles=tiles)) == ("tiles",)
    assert refusals(with_(golden=golden)) == ("alignment",)
    assert refusals(with_(types=("scratch",), grades=("good", "bad"))) == ("known types", "grades")
