"""A sample knows only what somebody said."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from sightline.core.sample import Frame, Sample, readable_name


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


def test_a_name_in_an_old_encoding_becomes_text() -> None:
    for data, text in (
        (b"gepr\xfcft.png", "geprüft.png"),
        ("geprüft.png".encode(), "geprüft.png"),
        (b"\x81", "\ufffd"),
    ):
        assert readable_name(os.fsdecode(data)) == text


# A frame knows its age, whatever the clock on the wall does.


def test_age_counts_on_the_monotonic_clock():
    then = time.monotonic() - 0.5
    image = np.zeros((2, 2, 3), np.uint8)
    frame = Frame(image=image, id=1, captured=0.0, monotonic_s=then, complete_s=then, camera="c")
    assert 500 <= frame.age_ms() < 5000
