"""Recipes made: trained, searched for, taught a new type; and the synthetic defects that a training draws."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError
from sightline.core.progress import Progress, Tell, unwatched
from sightline.operations.inspection import expand
from sightline.operations.opening import open_dataset
from sightline.operations.tracking import Tracking

if TYPE_CHECKING:
    from sightline.core.card import Bounded, Card
    from sightline.core.sample import Sample
    from sightline.imaging.image import Image
    from sightline.train.search.result import SearchResult


@dataclass(frozen=True)
class Trained:
    """A recipe that was trained and saved: figures as plain JSON values, and its card."""

    figures: dict[str, Any]
    card: Card


def train(
    data: Path,
    output: Path,
    settings: dict[str, object],
    test_fraction: float = 0.3,
    train_good: int | None = None,
    outside: bool = False,
    mlflow: str | None = None,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Trained:
    """Train on a dataset's training part and save the recipe; `mlflow` is the address of MLflow, for a run of it."""
    from sightline import train as learn
    from sightline.runtime.recipe import check_writable
    from sightline.train.settings import TrainSettings

    parsed = TrainSettings.parse(settings)
    check_writable(output)
    tracking = None if not mlflow else Tracking(mlflow)
    start = time.perf_counter()
    dataset = open_dataset(data, tell, outside=outside, test_fraction=test_fraction, seed=parsed.seed)
    if train_good is not None:
        dataset = dataset.with_train_good(train_good, parsed.seed)
    recipe = learn(dataset.train, parsed, progress=progress or unwatched)
    recipe.save(output)
    card = recipe.card
    figures = {
        "recipe": str(output),
        "seconds": round(time.perf_counter() - start, 3),
        "images": len(card.trained_on),
        "width": card.width,
        "height": card.height,
        "bank": card.bank,
        "peak_rss_mb": peak_rss_mb(),
    }
    if tracking is not None:
        figures["mlflow_run"] = tracking.log_training(output, card, figures, parsed.model_dump(mode="json"))
    return Trained(figures, card)


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def search(
    data: Path,
    output: Path,
    options: dict[str, Any],
    settings: dict[str, Any],
    report: Path | None = None,
    test_fraction: float = 0.3,
    outside: bool = False,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> SearchResult:
    """Search on a dataset's training part, save the recipe, and write the report where one is asked for.

    `options` are those of `sightline.search`, `settings` the training settings that are fixed.
    """
    from sightline import search as find
    from sightline.runtime.recipe import check_writable
    from sightline.train.settings import TrainSettings

    parsed = TrainSettings.parse(settings)
    for path in (output, *([] if report is None else [report])):
        check_writable(path)
    dataset = open_dataset(data, tell, outside=outside, test_fraction=test_fraction, seed=parsed.seed)
    result = find(dataset.train, progress=progress or unwatched, **options, **settings)
    result.recipe.save(output)
    if report is not None:
        from sightline.train.search.report import write_search_report

        write_search_report(result, report)
    return result


def teach(recipe: Path, name: str, images: Sequence[Path], output: Path) -> dict[str, Any]:
    """Teach a recipe a new defect type from a few images, and save the new one; what it did to the old types."""
    from sightline.runtime.recipe import check_writable
    from sightline.train.teach.teaching import teach as learn

    check_writable(output)
    taught = learn(recipe, name, expand(images))
    taught.recipe.save(output)
    return {
        "recipe": str(output),
        "type": name,
        "recognised_when_left_out": _rate(taught.recognised),
        "old_types": [
            {"type": old, "before": _rate(found), "after": _rate(taught.after[old])}
            for old, found in taught.before.items()
        ],
        "seconds": round(taught.seconds, 3),
    }


def _rate(found: Bounded) -> dict[str, int]:
    return {"count": found.count, "of": found.of}


def synthesize(data: Path, output: Path, images: int, seed: int) -> dict[str, Any]:
    """Write a sheet of every generator on up to `images` good training parts: figures for `--json`.

    Where no training part has a marked defect, there is nothing to cut and paste, and that row is left out.
    """
    import numpy as np

    from sightline.data.dataset import Dataset
    from sightline.data.synthetic.generators import GENERATORS, collect, contact_sheet
    from sightline.runtime.recipe import check_writable

    check_writable(output)
    parts = Dataset.open(data, seed=seed).train
    rng = np.random.default_rng(seed)
    chosen = _good_images([parts.samples[i] for i in rng.permutation(len(parts))], images)
    donors = collect(parts)
    left_out = [] if donors else ["cut and paste"]
    generators = {name: generate for name, generate in GENERATORS.items() if name not in left_out}
    _write(output, contact_sheet(chosen, generators, rng, donors))
    return {
        "sheet": str(output),
        "images": len(chosen),
        "donors": len(donors),
        "generators": list(generators),
        "left_out": left_out,
    }


def _good_images(samples: Sequence[Sample], count: int) -> list[Image]:
    """The first readable images of good parts. Raises InputError where there is none."""
    from sightline.imaging.image import find_full_scale, read_image

    found: list[Image] = []
    full_scale = find_full_scale(sample.path for sample in samples)[0]
    for sample in samples:
        if len(found) == count:
            break
        if sample.defective is False:
            try:
                found.append(read_image(sample.path, full_scale)[0])
            except InputError:
                continue  # training names it; the sheet takes the next
    if not found:
        raise InputError("the training part holds no good part that can be read. Add photos of good parts")
    return found


def _write(path: Path, sheet: Image) -> None:
    import cv2

    from sightline.runtime.recipe import write_atomically

    try:
        done, data = cv2.imencode(path.suffix or ".png", sheet[..., ::-1])
    except cv2.error:
        done = False
    if not done:
        raise InputError(f"{path}: the sheet cannot be written in this format. Name a .png or .jpg file")
    write_atomically(path, data.tobytes())
