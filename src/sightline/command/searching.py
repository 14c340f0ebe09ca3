"""`sightline search`: settings whose errors cost least, the recipe made with them, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.command.console import progress
from sightline.core.card import Card

if TYPE_CHECKING:
    from sightline.train.search.result import SearchResult


def search(
    data: Path,
    output: Path,
    report: Path | None,
    test_fraction: float,
    options: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool,
) -> SearchResult:
    """Search on a dataset's training part, save the recipe, and write the report where one is asked for.

    `options` are those of `sightline.search`, `settings` the training settings that are fixed.
    """
    from sightline import search as find
    from sightline.data.dataset import Dataset
    from sightline.runtime.recipe import check_writable
    from sightline.train.settings import TrainSettings

    parsed = TrainSettings.parse(settings)
    for path in (output, *([] if report is None else [report])):
        check_writable(path)
    dataset = Dataset.open(data, test_fraction, parsed.seed)
    with progress(quiet) as bar:
        result = find(dataset.train, progress=bar, **options, **settings)
    result.recipe.save(output)
    if report is not None:
        from sightline.train.search.report import write_search_report

        write_search_report(result, report)
    return result


def describe(result: SearchResult, output: Path) -> str:
    """What a person wants to know after a search."""
    card: Card = result.recipe.card
    promises = "".join(f"\n  - {line}" for line in card.calibration.promises)
    return (
        f"{result}\n{output}: {card.backbone}, {card.width} x {card.height} px. What its thresholds rest on:{promises}"
    )
