"""A trial: every labelled sample inspected once, an account of those that were not, and how long a verdict takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate.inspected import Failure, Inspected
from sightline.evaluate.metrics.detection import boxes_of, found_boxes
from sightline.imaging.image import Source, content_hash
from sightline.imaging.mask import marks_of, usable_mask
from sightline.runtime.recipe import Recipe
from sightline.runtime.recognition import named

if TYPE_CHECKING:
    from sightline.runtime.inspection import Inspection


Progress = Callable[[int, int], None]


class Inspects(Protocol):
    """Whatever inspects an image file and carries a card; `sightline.runtime.inspector.Inspector` does."""

    @property
    def card(self) -> Card: ...

    def inspect(self, source: Source, /) -> Inspection: ...


def inspector_of(recipe: str | Path | Recipe | Inspects, threads: int) -> Inspects:
    """Whatever inspects, as it is; a file or a Recipe at work. Raises RecipeError."""
    if not isinstance(recipe, str | Path | Recipe):
        return recipe
    from sightline.runtime.inspector import Inspector

    return Inspector(recipe, threads=threads)


@dataclass
class Trial:
    """What was inspected, what failed, and what was left out and why."""

    images: list[Inspected] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    mask_notes: list[str] = field(default_factory=list)
    left_out_trained: int = 0
    left_out_unlabelled: int = 0
    trained_included: int = 0
    repeated: int = 0


def run_trial(
    inspector: Inspects, samples: Iterable[Sample], *, include_trained: bool, progress: Progress | None
) -> Trial:
    """Inspect every labelled sample that the recipe has not seen, in order.

    `progress(done, total)` is called after each sample. An image that cannot be read is a failure and the
    trial goes on. Raises InputError where nothing at all could be inspected.
    """
    waiting, trial, hashes = list(samples), Trial(), set[str]()
    trained_on = frozenset(inspector.card.trained_on)
    for done, sample in enumerate(waiting, start=1):
        digest = _digest(trial, sample)
        if digest is not None:
            trained = digest in trained_on
            if trained and not include_trained:
                trial.left_out_trained += 1
            elif _try(trial, inspector, sample):
                trial.trained_included += trained
                trial.repeated += digest in hashes
                hashes.add(digest)
        if progress is not None:
            progress(done, len(waiting))
    if not trial.images:
        raise InputError(_nothing(trial, len(waiting)))
    return trial


def _digest(trial: Trial, sample: Sample) -> str | None:
    """The content hash of a labelled, readable file; None otherwise, and the trial says why."""
    if sample.defective is None:
        trial.left_out_unlabelled += 1
        return None
    try:
        return content_hash(sample.path)
    except (InputError, OSError) as error:
        trial.failures.append(Failure(sample.path, str(error), sample.defective, sample.types))
        return None


def _try(trial: Trial, inspector: Inspects, sample: Sample) -> bool:
    """Inspect one labelled sample into the trial; False where its image cannot be used."""
    try:
        image = _inspect(trial, inspector, sample)
    except (InputError, OSError, cv2.error) as error:
        # Only what an image can do wrong: a broken engine must stop the trial, not pass for bad images.
        message = str(error) or type(error).__name__
        trial.failures.append(Failure(sample.path, message, bool(sample.defective), sample.types))
        return False
    trial.images.append(image)
    return True


def _inspect(trial: Trial, inspector: Inspects, sample: Sample) -> Inspected:
    found = inspector.inspect(sample.path)
    height, width = found.image.shape[:2]
    mask = marks_of(sample)
    wrong = None if mask is None else usable_mask(mask, (height, width), sample.path)
    if wrong is not None:
        trial.mask_notes.append(f"{wrong.rstrip('.')}. {sample.path} is left out of the pixel metrics.")
        mask = None
    true_boxes = (
        boxes_of(sample, sample.mask if mask else None, (height, width), inspector.card.types)
        if inspector.card.types
        else None
    )
    return Inspected(
        path=sample.path,
        defective=bool(sample.defective),
        types=sample.types,
        score=float(found.score),
        p_value=float(found.p_value),
        verdict=found.verdict,
        reason=found.reason,
        heat=np.array(found.heat, np.float32),
        size=(height, width),
        ms=float(found.times_ms["total"]),
        mask=mask,
        group=sample.group,
        warnings=found.warnings,
        judged_by=found.judged_by,
        asked="rejudge" in found.times_ms,
        predicted_types=named(found.types, inspector.card) if inspector.card.types else None,
        defect_share=found.defect_share,
        shares=dict(found.types),
        true_boxes=true_boxes,
        predicted_boxes=None if true_boxes is None else found_boxes(found, inspector.card),
        grade=sample.grade,
        predicted_grade=found.grade,
    )


def _nothing(trial: Trial, given: int) -> str:
    if not given:
        return "There is no sample to evaluate. Name a folder with labelled images."
    reasons = {
        "are among the images the recipe was made from": trial.left_out_trained,
        "carry no label": trial.left_out_unlabelled,
        "could not be read": len(trial.failures),
    }
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    first = f" The first: {trial.failures[0].message}" if trial.failures else ""
    return (
        f"None of the {given} samples can be evaluated: {listed}.{first} Give labelled images that were not "
        "used for training, or take those as well (--include-trained, in Python include_trained=True) and read the "
        "figures as optimistic."
    )


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in ms over `count` images, the first (warm-up) image left out; None without images."""

    p50: float | None
    p95: float | None
    p99: float | None
    count: int


def latency(ms: Sequence[float]) -> Latency:
    """Percentiles of times in ms, given in the order of inspection."""
    warm = np.asarray(ms[1:], np.float64)
    if not warm.size:
        return Latency(None, None, None, 0)
    p50, p95, p99 = (float(value) for value in np.percentile(warm, [50, 95, 99]))
    return Latency(p50, p95, p99, int(warm.size))
