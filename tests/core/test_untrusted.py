"""Patterns of settings: what may take long over a text is refused when it is read, and all others are quick."""

from __future__ import annotations

import time

import pytest

from sightline.core.untrusted import LONGEST, check_pattern, match
from sightline.devices.cameras.folder import Settings as FolderSettings
from sightline.line.collection import Keep


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|aa)+",
        "(?P<lot>.*.*.*.*)x",
        "(.*)*",
        "((a{1,9}){1,9}){1,9}",
        "(?:a?){64}a{64}",
        "(x+x+)+y",
        "(?=(a+)+b)a",
    ],
)
def test_a_pattern_that_may_take_long_is_refused_with_the_remedy(pattern: str) -> None:
    with pytest.raises(ValueError, match="at most three repeats"):
        check_pattern(pattern)
    with pytest.raises(ValueError, match="at most three repeats"):
        Keep(part_id=pattern)
    with pytest.raises(ValueError, match="at most three repeats"):
        FolderSettings(path="in", part_id=f"{pattern}(?P<part>a)")


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?P<lot>L\d+)-(?P<serial>\d+)",
        r"(?P<lot>[^-]+)-(?P<serial>.+)",
        r"(?P<lot>\d{6})(?P<serial>\d{4,8})",
        r"(?:AB|CD)_(?P<lot>\d++)_\d++_\d++_\d++_(?P<serial>\d++)",
        r"(?P<lot>.*)-(?P<serial>.*)-.*x",
    ],
)
def test_usual_patterns_are_taken_and_are_quick_over_any_text(pattern: str) -> None:
    check_pattern(pattern)
    start = time.perf_counter()
    for letter in "-aL0A_":
        match(pattern, letter * LONGEST)
    assert time.perf_counter() - start < 0.5


def test_what_is_no_pattern_is_said_and_a_text_that_is_too_long_matches_nothing() -> None:
    with pytest.raises(ValueError, match="not a valid pattern"):
        check_pattern("(")
    assert match(".*", "a" * LONGEST) and match(".*", "a" * (LONGEST + 1)) is None
    assert Keep(part_id=r"(?P<lot>\d+)-(?P<serial>\d+)").names("12-7") == {"lot": "12", "serial": "7"}
