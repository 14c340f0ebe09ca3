"""The demo: sample parts -> recipe -> verdicts -> report, in one minute and without own images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, require_lab
from sightline.core.progress import Progress, Tell
from sightline.operations.inspection import Judging, inspect
from sightline.operations.recipes import evaluate
from sightline.operations.training import train

EXAMPLES = 3


def demo(
    folder: Path,
    product: str = "cap",
    effort: str = "normal",
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Iterator[tuple[str, Any]]:
    """Run the demo into `folder`, where parts of an earlier run are used again: its steps, as each begins and ends.

    "draw", "learn", "judge" and "measure" begin, with their files; "trained", "inspected" and "evaluated" give what
    that operation returns, "outliers" names good parts that look like no other, "done" has paths and headline figures.
    """
    from sightline.data.dataset import Dataset
    from sightline.data.sample import write

    require_lab()
    parts = folder / f"{product}-parts"
    recipe, report, overlays = folder / f"{product}.onnx", folder / "report.html", folder / "overlays"
    files = {"product": product, "parts": parts, "recipe": recipe, "report": report, "overlays": overlays}
    if not (parts / "parts.csv").is_file():
        yield "draw", files
        write(parts, product)
    yield "learn", files
    trained = train(parts, recipe, {"effort": effort, "product": product}, progress=progress, tell=tell)
    yield "trained", trained
    test = Dataset.open(parts).test
    chosen = [sample.path for sample in test if sample.defective is False][:EXAMPLES]
    defective = [sample.path for sample in test if sample.defective]
    if not chosen or not defective:
        raise InputError(f"{parts}: incomplete sample parts. Delete that folder and run the demo again")
    chosen += defective[:: max(1, len(defective) // EXAMPLES)][:EXAMPLES]
    judging = Judging(recipe)
    yield "judge", files
    for result in inspect(judging, chosen, overlays):
        yield "inspected", result
    yield "measure", files
    evaluation = evaluate(judging, parts, report, progress=progress, tell=tell)
    yield "evaluated", evaluation
    if trained.card.outliers:
        yield "outliers", trained.card.outliers
    paths = {"parts": str(parts), "recipe": str(recipe), "report": str(report), "overlays": str(overlays)}
    yield "done", {**paths, **trained.figures, **evaluation.to_json()}
