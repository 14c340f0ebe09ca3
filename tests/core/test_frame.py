"""A frame knows its age, whatever the clock on the wall does."""

from __future__ import annotations

import time

import numpy as np

from sightline.core.frame import Frame


def test_age_counts_on_the_monotonic_clock():
    then = time.monotonic() - 0.5
    frame = Frame(image=np.zeros((2, 2, 3), np.uint8), id=1, captured=0.0, monotonic_s=then, camera="c")
    assert 500 <= frame.age_ms() < 5000
