"""`sightline compare`: two recipes on the same parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.command.console import progress

if TYPE_CHECKING:
    from sightline.evaluate.comparison import Comparison


def compare(
    first: Path, second: Path, data: Path, report: Path | None, include_trained: bool, threads: int, quiet: bool
) -> Comparison:
    """Compare on the given test part; without a given split, on every part that neither was made from."""
    from sightline.data.dataset import Dataset
    from sightline.evaluate.comparison import compare as judge
    from sightline.evaluate.comparison_report import write_comparison

    dataset = Dataset.open(data, split=False)
    chosen = dataset.test if dataset.given_split and not include_trained else dataset
    with progress(quiet) as bar:
        found = judge(
            first,
            second,
            chosen,
            include_trained=include_trained,
            threads=threads,
            progress=lambda done, of: bar("inspecting", done, of),
        )
    if report is not None:
        write_comparison(found, report)
    return found


def describe(found: Comparison) -> str:
    """What a person wants to know before taking another recipe."""
    from sightline.evaluate.comparison_report import text

    return text(found)
