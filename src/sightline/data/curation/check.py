"""The check of a dataset: image statistics in, findings out; and what decisions make of it, a new table."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sightline.core.errors import InputError, warn_caller
from sightline.core.progress import reporting
from sightline.core.sample import Sample
from sightline.core.untrusted import cell
from sightline.data.curation.duplicates import duplicate_findings
from sightline.data.curation.findings import Action, Finding, Kind, Severity, Verb, ordered
from sightline.data.curation.image_statistics import (
    DEFECT,
    GOOD,
    GRADE,
    Embed,
    ImageStatistics,
    Progress,
    read_statistics,
)
from sightline.data.curation.label_errors import class_findings, label_findings, outlier_findings
from sightline.data.curation.near_duplicates import Pair, find_pairs, merge_groups, neighbours_of
from sightline.data.curation.photography import confound_findings, photo_findings
from sightline.data.formats.document import DatasetWarning
from sightline.data.formats.table import COLUMNS, row_of
from sightline.imaging.mask import marks_of, usable_mask
from sightline.runtime.recipe import write_atomically


def check(
    samples: Sequence[Sample],
    embed: Embed | None = None,
    *,
    root: Path | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> list[Finding]:
    """What is wrong with a set of samples, worst first.

    `embed` takes images (H, W, 3) uint8 to embeddings (N, E) float32; without it, outliers and labels are not judged
    and crops are found less often. Names of images are relative to `root`. Only a few images are held at a time.
    `progress(done, of)` is called after each; True shows a bar, False none, and without it there is one in a terminal
    or notebook.
    Raises InputError where no image can be read, MissingExtraError without scikit-learn where labels are judged.
    """
    with reporting(progress, "looking at images") as report:
        return findings(read_statistics(samples, embed, root=root, progress=report), seed)


def findings(statistics: ImageStatistics, seed: int = 0) -> list[Finding]:
    """The findings of a set whose images have been read."""
    near = neighbours_of(statistics)
    pairs = find_pairs(statistics, near, seed=seed)
    units = units_of(statistics, pairs)
    found = [
        Finding(
            Kind.UNREADABLE,
            Severity.HIGH,
            (unread.name,),
            unread.message,
            "Copy or record the image again, or leave it out.",
            Action(Verb.REMOVE, (unread.name,)),
        )
        for unread in statistics.unread
    ]
    found += _mask_findings(statistics)
    found += duplicate_findings(statistics, pairs)
    found += photo_findings(statistics)
    found += class_findings(statistics, units)
    found += confound_findings(statistics)
    if near is not None:
        found += outlier_findings(statistics, near)
        found += label_findings(statistics, units_of(statistics, [pair for pair in pairs if pair.exact]), seed)
    return ordered(found)


def _mask_findings(statistics: ImageStatistics) -> list[Finding]:
    """What is marked on a defective image and can be neither learned nor measured by, in either part."""
    found = []
    for sample, name, (height, width) in zip(statistics.samples, statistics.names, statistics.sizes, strict=True):
        marks = marks_of(sample)
        wrong = None if marks is None else usable_mask(marks, (int(height), int(width)), sample.path)
        if wrong is not None:
            remedy = "Save the mask again; until then, no localisation figure includes this image."
            found.append(Finding(Kind.MASK, Severity.MEDIUM, (name,), wrong, remedy))
    return found


def units_of(statistics: ImageStatistics, pairs: Sequence[Pair]) -> list[int]:
    """What belongs together, one number for each image: a group, and whatever shows the same part."""
    keys = [f"group:{s.group}" if s.group is not None else f"image:{i}" for i, s in enumerate(statistics.samples)]
    merged = merge_groups(keys, pairs)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(merged))}
    return [numbers[name] for name in merged]


def corrected(samples: Sequence[Sample], names: Sequence[str], actions: Iterable[Action]) -> list[Sample]:
    """The samples after all actions, in order; `names` (N) are those that actions speak of.

    Names that are no longer there are passed over. Nothing on disk changes.
    """
    samples_by_name: dict[str, Sample] = dict(zip(names, samples, strict=True))
    for action in actions:
        for name in action.targets:
            sample = samples_by_name.get(name)
            if sample is None:
                continue
            if action.verb is Verb.REMOVE:
                del samples_by_name[name]
            else:
                samples_by_name[name] = _changed(sample, action)
    return list(samples_by_name.values())


def _changed(sample: Sample, action: Action) -> Sample:
    match action.verb:
        case Verb.RELABEL:
            return relabelled(sample, action.value)
        case Verb.SPLIT:
            return replace(sample, split=action.value)
        case Verb.GROUP:
            return replace(sample, group=action.value)
        case _:
            return sample


def relabelled(sample: Sample, label: str) -> Sample:
    """The sample with another label: good, defect, a grade ("grade 2"), or types joined by ";".

    Marks of places belong to the old label and go; a grade stays only where grades are what is labelled.
    """
    if label.startswith(GRADE) and label.removeprefix(GRADE).lstrip("-").isdigit():
        grade = int(label.removeprefix(GRADE))
        return replace(sample, grade=grade, defective=grade > 0, types=(), mask=None, regions=())
    bare = replace(sample, grade=None, mask=None, regions=())
    if label == GOOD:
        return replace(bare, defective=False, types=())
    return replace(bare, defective=True, types=() if label == DEFECT else tuple(label.split(";")))


def write_table(samples: Sequence[Sample], path: Path) -> Path:
    """Write samples as a CSV table that `Dataset.open` reads, images named relative to it, and return its path.

    Whole or not at all. Boxes and polygons cannot be said in a table; a DatasetWarning counts the images that lose
    them. Raises InputError where it cannot be written.
    """
    if not samples:
        raise InputError(f"{path}: no image is left for the table. Apply fewer findings")
    extra = sorted({key for sample in samples for key in sample.metadata} - set(COLUMNS))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in (*COLUMNS, *extra)])
    for sample in samples:
        mask = "" if sample.mask is None else _relative(sample.mask, path.parent)
        writer.writerow(row_of(sample, _relative(sample.path, path.parent), mask, extra))
    try:
        data = text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: image names are not UTF-8. Rename the images") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose another place") from error
    marked = sum(bool(sample.regions) for sample in samples)
    if marked:
        message = f"{path}: boxes and polygons of {marked} images stay in the original dataset; a table has none"
        warn_caller(message, DatasetWarning)
    return path


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()
