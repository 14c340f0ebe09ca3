"""The check of a dataset: signs in, findings out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.core.sample import Sample
from sightline.data.curation.confounds import confound_findings
from sightline.data.curation.duplicates import duplicate_findings
from sightline.data.curation.finding import Action, Finding, Kind, Severity, Verb, ordered
from sightline.data.curation.labels import class_findings, label_findings
from sightline.data.curation.outliers import outlier_findings
from sightline.data.curation.pairs import Pair, find_pairs, neighbours_of
from sightline.data.curation.photography import photo_findings
from sightline.data.curation.reading import Progress, read_signs
from sightline.data.curation.signs import Embed, Signs
from sightline.data.duplicates import merge_groups


def check(
    samples: Sequence[Sample],
    embed: Embed | None = None,
    *,
    root: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Finding]:
    """What is wrong with a set of samples, worst first.

    `embed` takes images (H, W, 3) uint8 to embeddings (N, E) float32; without it, outliers and labels are not judged
    and crops are found less often. Names of images are relative to `root`. Only a few images are held at a time.
    Raises InputError where no image can be read, MissingExtraError without scikit-learn where labels are judged.
    """
    return findings(read_signs(samples, embed, root=root, progress=progress), seed)


def findings(signs: Signs, seed: int = 0) -> list[Finding]:
    """The findings of a set whose signs are known."""
    near = neighbours_of(signs)
    pairs = find_pairs(signs, near, seed=seed)
    units = units_of(signs, pairs)
    found = [_unread(unread.name, unread.message) for unread in signs.unread]
    found += duplicate_findings(signs, pairs)
    found += photo_findings(signs)
    found += class_findings(signs, units)
    found += confound_findings(signs)
    if near is not None:
        found += outlier_findings(signs, near)
        found += label_findings(signs, units_of(signs, [pair for pair in pairs if pair.exact]), seed)
    return ordered(found)


def units_of(signs: Signs, pairs: Sequence[Pair]) -> list[int]:
    """What belongs together, one number for each image: a group, and whatever shows the same part."""
    keys = [f"group:{s.group}" if s.group is not None else f"image:{i}" for i, s in enumerate(signs.samples)]
    merged = merge_groups(keys, [(pair.first, pair.second) for pair in pairs])
    numbers = {name: number for number, name in enumerate(dict.fromkeys(merged))}
    return [numbers[name] for name in merged]


def _unread(name: str, message: str) -> Finding:
    return Finding(
        Kind.UNREADABLE,
        Severity.HIGH,
        (name,),
        message,
        "Copy or record the image again, or leave it out.",
        Action(Verb.REMOVE, (name,)),
    )
