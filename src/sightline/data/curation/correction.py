"""A dataset with decisions applied to it: a new table, while images and labels on disk stay as they are."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.finding import Action, Verb
from sightline.data.curation.signs import DEFECT, GOOD, GRADE
from sightline.data.formats.table import KNOWN
from sightline.data.warning import DatasetWarning
from sightline.runtime.recipe import write_atomically


def corrected(samples: Sequence[Sample], names: Sequence[str], actions: Iterable[Action]) -> list[Sample]:
    """The samples after all actions, in order; `names` (N) are those that actions speak of.

    Names that are no longer there are passed over. Nothing on disk changes.
    """
    kept: dict[str, Sample] = dict(zip(names, samples, strict=True))
    for action in actions:
        for name in action.targets:
            sample = kept.get(name)
            if sample is None:
                continue
            if action.verb is Verb.REMOVE:
                del kept[name]
            else:
                kept[name] = _changed(sample, action)
    return list(kept.values())


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
    extra = sorted({key for sample in samples for key in sample.metadata} - set(KNOWN))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*KNOWN, *extra))
    for sample in samples:
        writer.writerow((*_cells(sample, path.parent), *(sample.metadata.get(key, "") for key in extra)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.getvalue().encode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose another place") from error
    marked = sum(bool(sample.regions) for sample in samples)
    if marked:
        message = f"{path}: boxes and polygons of {marked} images stay in the original dataset; a table has none"
        warnings.warn(message, DatasetWarning, stacklevel=2)
    return path


def _cells(sample: Sample, folder: Path) -> tuple[str, ...]:
    label = "" if sample.defective is None else DEFECT if sample.defective else GOOD
    grade = "" if sample.grade is None else str(sample.grade)
    mask = "" if sample.mask is None else _relative(sample.mask, folder)
    rest = (sample.group or "", sample.lot or "", sample.split or "")
    return _relative(sample.path, folder), label, mask, grade, ";".join(sample.types), *rest


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()
