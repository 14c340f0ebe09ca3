"""A sample knows only what somebody said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sightline.core.sample import Sample


def test_a_sample_claims_nothing_by_itself() -> None:
    sample = Sample(Path("a.png"), None)
    claims = (sample.types, sample.mask, sample.grade, sample.group, sample.lot, sample.split)
    assert claims == ((), None, None, None, None, None)
    assert dict(sample.metadata) == {}


def test_a_sample_cannot_be_changed() -> None:
    sample = Sample(Path("a.png"), False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.defective = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        sample.metadata["camera"] = "left"  # type: ignore[index]
