"""Caveats: what could not be computed, what was left out, and what the figures do not say."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.evaluate.inspected import Inspected, Part
from sightline.evaluate.metrics.pixel import PixelCurve
from sightline.evaluate.trial import Trial

FEW = 100  # times below this say little about a 99th percentile
NO_GOOD = (
    "This recipe was made without good parts. It never says OK: a part that looks like the known ones and is named a "
    "type is NG, any other goes to REVIEW. Its overkill is not known, and an escape rate of 0 says nothing."
)
MAX_NOTES = 5  # notes of one kind that are spelled out


def caveats(trial: Trial, curve: PixelCurve, without_good: bool = False) -> tuple[str, ...]:
    """Sentences a reader of the figures must know, the gravest first."""
    return (
        *([NO_GOOD] if without_good else []),
        *_left_out(trial),
        *_failed(trial),
        *_cascade(trial.images),
        *_one_sided(trial),
        *_independence(trial),
        *_pixels(trial, curve),
        *_times(trial.images),
        *_spelled([warning for image in trial.images for warning in image.warnings]),
    )


def _left_out(trial: Trial) -> list[str]:
    notes = []
    if trial.trained_included:
        notes.append(
            f"{_images(trial.trained_included)} that the recipe was made from took part at your request: "
            "every figure here is optimistic."
        )
    if trial.left_out_trained:
        notes.append(f"{_images(trial.left_out_trained)} left out: the recipe was made from them.")
    if trial.left_out_unlabelled:
        notes.append(f"{_images(trial.left_out_unlabelled)} left out: nobody has said whether they are defective.")
    return notes


def _failed(trial: Trial) -> list[str]:
    if not trial.failures:
        return []
    return [
        f"{_images(len(trial.failures))} could not be inspected. A line judges such a part NG, so it counts "
        "as NG in escape and overkill; without a score it takes no part in AUROC, AP or F1.",
        *_spelled([failure.message for failure in trial.failures]),
    ]


def _cascade(images: Sequence[Inspected]) -> list[str]:
    if not any(image.judged_by for image in images):
        return []
    asked = sum(image.asked for image in images)
    decided = sum(image.judged_by == "accurate" for image in images)
    return [
        f"Two recipes judged: the accurate one was asked about {asked} of {len(images)} images and decided {decided}. "
        "Rates, bounds and times are those of both together; scores and heat are on the fast recipe's scale."
    ]


def _one_sided(trial: Trial) -> list[str]:
    parts: tuple[Part, ...] = (*trial.images, *trial.failures)
    defective = [part.defective for part in parts]
    if all(defective):
        return ["There are no good parts: overkill cannot be stated. Add good parts to the test set."]
    if not any(defective):
        return ["There are no defective parts: escape cannot be stated. Add known defects (challenge parts)."]
    return []


def _independence(trial: Trial) -> list[str]:
    notes = []
    if trial.repeated:
        notes.append(
            f"{_images(trial.repeated)} repeated exactly. The bounds take every image for a part "
            "of its own; remove the copies."
        )
    groups = {image.group for image in trial.images if image.group is not None}
    grouped = sum(image.group is not None for image in trial.images)
    if 0 < len(groups) < grouped:
        notes.append(
            f"{_images(grouped)} come from only {len(groups)} groups. Escape and overkill count groups, as parts: one "
            "is an escape, or overkill, where any of its images is."
        )
    return notes


def _pixels(trial: Trial, curve: PixelCurve) -> list[str]:
    defective = [image for image in trial.images if image.defective]
    notes = _spelled(trial.mask_notes)
    unmasked = sum(image.mask is None for image in defective) - len(trial.mask_notes)
    if unmasked:
        notes.append(
            "1 defective image has no mask and takes no part in the pixel metrics."
            if unmasked == 1
            else f"{unmasked} defective images have no mask and take no part in the pixel metrics."
        )
    if not curve.regions:
        notes.append("No usable mask: pixel AUROC and AUPRO cannot be computed.")
    elif not curve.normal:
        notes.append("The masks leave no normal pixel: pixel AUROC and AUPRO cannot be computed.")
    return notes


def _times(images: Sequence[Inspected]) -> list[str]:
    timed = len(images) - 1
    if timed < 1:
        return ["A single image was timed, and it warms the engine up: no latency can be stated."]
    if timed < FEW:
        return [f"The 99th percentile of the time rests on {timed} images: it is close to the slowest of them."]
    return []


def _spelled(notes: Sequence[str]) -> list[str]:
    distinct = list(dict.fromkeys(notes))
    more = len(distinct) - MAX_NOTES
    return distinct[:MAX_NOTES] + ([f"{more} more note{'s' * (more != 1)} of this kind."] if more > 0 else [])


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"
