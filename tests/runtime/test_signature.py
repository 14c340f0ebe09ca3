"""Signed recipes: one file, checked against one key."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sightline.core.errors import InputError, RecipeError
from sightline.runtime.cascade import Cascade
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.signature import Release, make_keys, sign, unsigned, verify


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    make_keys(tmp_path / "key.pem", tmp_path / "key.pub")
    return tmp_path / "key.pem", tmp_path / "key.pub"


def test_a_signed_recipe_is_a_recipe(recipe_file: Path, keys: tuple[Path, Path], tmp_path: Path, draw: object) -> None:
    data = recipe_file.read_bytes()
    signed = tmp_path / "signed.onnx"
    signed.write_bytes(sign(data, keys[0]))
    image, _ = draw(3)  # type: ignore[operator]
    expected = Inspector(recipe_file, threads=1).inspect(image)
    assert Inspector(signed, threads=1, public_key=keys[1]).inspect(image).score == expected.score
    assert unsigned(signed.read_bytes()) == data


def test_signing_twice_replaces_the_signature(keys: tuple[Path, Path]) -> None:
    once = sign(b"data", keys[0])
    assert sign(once, keys[0]) == once


def test_what_is_not_signed_is_refused(recipe_file: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match=r"is not signed.*sightline sign"):
        Inspector(recipe_file, public_key=keys[1])


@pytest.mark.parametrize("place", [0, 100, -1, -50, -100])
def test_one_changed_byte_is_refused(keys: tuple[Path, Path], place: int) -> None:
    signed = bytearray(sign(b"x" * 1000, keys[0]))
    signed[place] ^= 1
    with pytest.raises(RecipeError):
        verify(bytes(signed), keys[1])


def test_another_key_is_refused(keys: tuple[Path, Path], tmp_path: Path) -> None:
    make_keys(tmp_path / "other.pem", tmp_path / "other.pub")
    with pytest.raises(RecipeError, match="not of the key"):
        verify(sign(b"data", tmp_path / "other.pem"), keys[1])


def test_keys_are_never_overwritten_and_the_private_one_is_private(keys: tuple[Path, Path], tmp_path: Path) -> None:
    assert keys[0].stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="is there already"):
        make_keys(keys[0], tmp_path / "new.pub")


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no key")
    with pytest.raises(InputError, match=r"no\.pem.*sightline keys"):
        sign(b"data", tmp_path / "no.pem")
    with pytest.raises(InputError, match=r"no\.pem.*sightline keys"):
        verify(b"data", tmp_path / "no.pem")


def test_a_signature_is_written_in_one_way_only(keys: tuple[Path, Path]) -> None:
    """The last character before the padding has four bits that mean nothing: other ones are another file."""
    signed = sign(b"recipe", keys[0])
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    place = letters.index(chr(signed[-3]))
    other = signed[:-3] + letters[place ^ 1].encode() + b"=="
    with pytest.raises(RecipeError):
        verify(other, keys[1])


def test_a_recipe_in_memory_is_checked_as_a_file_is(recipe: Recipe, keys: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match="is not signed"):
        Inspector(recipe, public_key=keys[1])
    Inspector(Recipe(sign(recipe.data, keys[0]), recipe.card), threads=1, public_key=keys[1])


def test_both_recipes_of_a_cascade_are_checked(recipe: Recipe, keys: tuple[Path, Path]) -> None:
    signed = Recipe(sign(recipe.data, keys[0]), recipe.card)
    for pair in ((recipe, signed), (signed, recipe)):
        with pytest.raises(RecipeError, match="is not signed"):
            Cascade(*pair, threads=1, public_key=keys[1])
    Cascade(signed, signed, threads=1, public_key=keys[1])


def test_a_signed_recipe_that_does_not_belong_here_is_refused(
    recipe: Recipe, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "signed.onnx"
    path.write_bytes(sign(recipe.data, keys[0]))
    product, made = recipe.card.product, datetime.fromisoformat(recipe.card.provenance.created)
    late, unsigned_hash = made + timedelta(seconds=1), recipe.hash[:16]
    for release, told in (
        (Release("washers"), f"is a recipe of {product}, and washers"),
        (Release(product, late), "only recipes from"),
        (Release(product, None, (Recipe.load(path).hash,)), "was withdrawn"),
        (Release(withdrawn=(unsigned_hash.upper(),)), "was withdrawn"),  # signing anew brings nothing back
    ):
        with pytest.raises(RecipeError, match=told):
            Inspector(path, threads=1, public_key=keys[1], release=release)
    Inspector(path, threads=1, public_key=keys[1], release=Release(f"{product}@3", made, ("0" * 16,)))
