"""`sightline evaluate`: figures of a recipe on the part of a dataset that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.command.console import progress

EXPLAINED = 12  # defective images on which a report measures how faithful the heat is

if TYPE_CHECKING:
    from sightline.evaluate.evaluation import Evaluation
    from sightline.runtime.cascade import Cascade
    from sightline.runtime.inspector import Inspector


def evaluate(
    judge: Inspector | Cascade, data: Path, report: Path | None, include_trained: bool, quiet: bool
) -> Evaluation:
    """Evaluate on the given test part; without a given split, on every image that was not trained on."""
    from sightline.data.dataset import Dataset
    from sightline.evaluate.evaluation import evaluate as measure
    from sightline.evaluate.report import write_report

    dataset = Dataset.open(data, split=False)
    trained = frozenset(judge.card.trained_on)
    references = [sample for sample in dataset if sample.defective is False] if trained else []
    chosen = dataset.test if dataset.given_split and not include_trained else dataset
    with progress(quiet) as bar:
        evaluation = measure(
            judge,
            chosen,
            include_trained=include_trained,
            references=references,
            explained=EXPLAINED if report is not None else 0,
            progress=lambda done, of: bar("inspecting", done, of),
        )
    if report is not None:
        write_report(evaluation, report)
    return evaluation
