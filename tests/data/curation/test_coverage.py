"""The coverage meter names what is thin, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.core.sample import Sample
from sightline.data.curation.coverage import cover, shift_of
from sightline.data.curation.reading import read_signs


def test_thin_types_lots_shifts_and_gaps_are_named(plant: Any, embed: Any) -> None:
    samples = plant()
    samples = [replace(s, lot="A" if s.defective else s.lot, metadata={"time": "2025-03-01T09:30:00"}) for s in samples]
    samples[0] = replace(samples[0], lot="D")
    coverage = cover(read_signs(samples, embed))
    advice = "\n".join(coverage.advice)
    assert "18 or more further parts with 'stain': 12 images so far" in advice
    assert "Photograph 'stain' in other lots, such as B, C, D: 1 of 4 lots show it." in advice
    assert "lot 'D': 1 images" in advice
    assert "Photograph in the night shift" in advice
    assert {share.name: share.count for share in coverage.axes["label"]} == {"good": 24, "stain": 12}
    assert sum(share.count for share in coverage.axes["look"]) == 36
    assert coverage.to_json()["images"] == 36


def test_without_lots_and_times_it_says_what_is_missing(plant: Any) -> None:
    samples = [replace(s, lot=None) for s in plant()]
    coverage = cover(read_signs(samples))
    assert set(coverage.axes) <= {"label", "brightness"}
    assert "Name the lot" in coverage.advice[-1]


def test_shifts(tmp_path: Any) -> None:
    def at(text: str) -> str:
        return shift_of(Sample(tmp_path, None, metadata={"timestamp": text}))

    assert [at(f"2025-01-01T{hour:02}:00").split()[0] for hour in (5, 6, 13, 14, 21, 22)] == [
        *("night", "early", "early", "late", "late", "night")
    ]
    assert at("soon") == ""
