"""Keys, signatures and their check, as the command line offers them."""

from __future__ import annotations

from pathlib import Path

from sightline.core.errors import RecipeError
from sightline.runtime.recipe import read_recipe, write_atomically
from sightline.runtime.signature import make_keys, sign, verify


def keys(folder: Path) -> dict[str, str]:
    """Make a pair of keys in `folder`: where they are, and the fingerprint."""
    private, public = folder / "sightline.key", folder / "sightline.pub"
    return {"fingerprint": make_keys(private, public), "private": str(private), "public": str(public)}


def sign_file(recipe: Path, key: Path) -> dict[str, str]:
    """Sign a recipe file in place."""
    signed = sign(read_recipe(recipe), key)
    try:
        write_atomically(recipe, signed)
    except OSError as error:
        raise RecipeError(f"{recipe}: cannot be written ({error.strerror}). It was left as it was") from error
    return {"recipe": str(recipe), "signed": "yes"}


def verify_file(recipe: Path, key: Path) -> dict[str, str]:
    """Check a recipe file's signature."""
    return {"recipe": str(recipe), "signed_by": verify(read_recipe(recipe), key, str(recipe))}
