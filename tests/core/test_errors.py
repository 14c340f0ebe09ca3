"""Errors: one base to catch, and a remedy in the text."""

from __future__ import annotations

import pytest

from sightline.core.errors import InputError, MissingExtraError, RecipeError, SightlineError, WeightsError


@pytest.mark.parametrize("kind", [InputError, RecipeError, WeightsError, MissingExtraError])
def test_every_error_can_be_caught_by_one_name(kind: type[Exception]) -> None:
    assert issubclass(kind, SightlineError)


def test_a_missing_package_names_the_command_that_installs_it() -> None:
    error = MissingExtraError("torch", "train")
    assert str(error) == "the package 'torch' is not installed. Install it with: pip install 'sightline[train]'"
    assert (error.package, error.extra) == ("torch", "train")
