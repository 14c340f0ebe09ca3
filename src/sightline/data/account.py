"""The account of a dataset: every picture file is read, a mask, or named with the reason why it is not read."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sightline.core.errors import InputError, warn_caller
from sightline.core.sample import Sample
from sightline.data.formats.document import DatasetWarning
from sightline.data.formats.folders import MASK_ENDINGS, files_below, unread
from sightline.data.formats.label import is_mask_folder, not_a_type
from sightline.data.formats.table import meanings
from sightline.imaging.decoding import SUFFIXES

LINK = "a link to a folder, which is not followed: copy the folder itself there"


@dataclass(frozen=True)
class Account:
    """Picture files below a dataset: how many there are, are read, are masks, are `left` out, by the reason."""

    files: int
    read: int
    masks: int
    left: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    missing: Sequence[Path] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def odd(self) -> bool:
        """Whether a person should look at it: files that are not read, or not there."""
        return bool(self.left or self.missing)

    def __str__(self) -> str:
        unread = sum(len(paths) for paths in self.left.values())
        parts = [f"{self.read} read"]
        parts += [f"{self.masks} mask{'s' * (self.masks != 1)}"] * bool(self.masks)
        if unread:
            reasons = "; ".join(f"{len(paths)}: {why}, first {paths[0]}" for why, paths in self.left.items())
            parts.append(f"{unread} not read ({reasons})")
        if self.missing:
            parts.append(f"{len(self.missing)} listed but not there (first {self.missing[0]})")
        return f"{self.files} picture file{'s' * (self.files != 1)}: {', '.join(parts)}"


def take_account(path: Path, layout: str, samples: Sequence[Sample]) -> Account:
    """Count the files below a dataset, and warn where some are not read. Raises InputError where no listed image is
    there.
    """
    named = {_same(sample.path) for sample in samples}
    marks = {_same(sample.mask) for sample in samples if sample.mask}
    # A table that is named by itself is a choice: what else lies beside its images is meant to be left out.
    below = list(files_below(path)) if path.is_dir() else []
    # Files behind links to folders are not below the dataset, and yet read where a class or a table leads to them.
    files = {_same(file): file for file in (*below, *_listed(samples))}.values()
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES or unread(file)]
    left: dict[str, list[Path]] = defaultdict(list)
    kinds: Counter[str] = Counter()
    for file in pictures:
        same = _same(file)
        kind = "read" if same in named else "mask" if same in marks or _is_mask(file, path) else "left"
        kinds[kind] += 1
        if kind == "left":
            left[_reason(file, path, layout)].append(file.relative_to(path) if path.is_dir() else file)
    if links := _links_not_followed(path, files):
        left[LINK] = links
    missing = [sample.path for sample in samples if not sample.path.exists()]
    if samples and len(missing) == len(samples):
        raise InputError(
            f"{path}: names {len(samples)} images, but none of them exists (first: {missing[0]}). Check the path, "
            "and that the images lie where the dataset names them"
        )
    labels = meanings(path) if layout == "csv" else {}
    account = Account(len(pictures) + len(links), kinds["read"], kinds["mask"], dict(left), tuple(missing), labels)
    if account.odd:
        warn_caller(f"{path}: {account}", DatasetWarning)
    return account


def _listed(samples: Sequence[Sample]) -> Iterator[Path]:
    yield from (sample.path for sample in samples if sample.path.exists())
    yield from (sample.mask for sample in samples if sample.mask and sample.mask.exists())


def _links_not_followed(path: Path, files: Iterable[Path]) -> list[Path]:
    """Links to folders, below the dataset, behind which no file was taken: who made them meant to give pictures."""
    folders = {folder for file in files for folder in _same(file).parents}
    found = []
    for folder, names, _ in os.walk(path):
        links = (Path(folder, name) for name in sorted(names) if not name.startswith("."))
        found += [link.relative_to(path) for link in links if link.is_symlink() and _same(link) not in folders]
    return found


def _same(path: Path) -> Path:
    return path.absolute()


def _is_mask(file: Path, path: Path) -> bool:
    inside = file.relative_to(path).parts[:-1] if path.is_dir() else ()
    return file.stem.lower().endswith(MASK_ENDINGS) or any(is_mask_folder(name) for name in inside)


def _reason(file: Path, path: Path, layout: str) -> str:
    if why := unread(file):
        return why
    inside = file.relative_to(path).parts[:-1] if path.is_dir() else ()
    strange = next(((name, what) for name in inside if (what := not_a_type(name)) and "split" not in what), None)
    if strange:
        return f"in {strange[0]}/, which looks like {strange[1]}"
    if layout in {"folders", "mvtec", "flat"}:
        return "in no folder of a class"
    return "not named by the labels"


def contents(samples: Sequence[Sample]) -> str:
    """What the samples show, with counts: `good 300, scratch 50, no label 2`."""
    counts: Counter[str] = Counter()
    for sample in samples:
        if sample.defective:
            counts[" + ".join(sample.types) or "defective (no type)"] += 1
        else:
            counts["good" if sample.defective is False else "no label"] += 1
    first = [(name, counts.pop(name)) for name in ("good",) if name in counts]
    return ", ".join(f"{name} {count}" for name, count in first + counts.most_common()) or "nothing"
