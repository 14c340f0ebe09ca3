"""Do people agree? Kappa between every two annotators and over all of them, type by type, and where they do not.

Sources: J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960)
37-46; J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76 (1971) 378-382,
with a number of raters that may differ from part to part, as J. L. Fleiss, B. Levin and M. C. Paik, "Statistical
Methods for Rates and Proportions", 2003, section 18.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import Interval, Rate, Weights, bootstrap, exact_rate
from sightline.store.annotations import DEFECTIVE, UNKNOWN, Annotation

ANY = "defective"  # the question that every annotation answers, beside one question for each type


@dataclass(frozen=True, slots=True)
class Pair(Figures):
    """How two annotators agree on one question, over the parts that both have answered."""

    first: str
    second: str
    question: str
    kappa: Interval
    agreed: Rate


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A part on which people differ: `share` of the pairs of annotations that differ, 0..1, worst first."""

    sample_id: int
    share: float
    answers: tuple[tuple[str, str], ...]  # (author, what they answered)

    def to_json(self) -> dict[str, Any]:
        """The disagreement as a JSON object."""
        return {
            "sample_id": self.sample_id,
            "share": round(self.share, 4),
            "words": [list(answer) for answer in self.answers],
        }


@dataclass(frozen=True, slots=True)
class Agreement(Figures):
    """Kappa of every pair and question, of all together by question, and the parts to talk about."""

    pairs: tuple[Pair, ...]
    overall: Mapping[str, Interval]
    disagreements: tuple[Disagreement, ...]
    parts: int


def agreement(annotations: Mapping[int, Sequence[Annotation]], rounds: int = 400) -> Agreement:
    """How people agree, from all annotations of each sample; of one author the latest counts.

    Samples with one author only say nothing about agreement. Intervals are bootstrapped over samples.
    """
    latest = {number: _latest(given) for number, given in annotations.items()}
    common = {number: by_author for number, by_author in latest.items() if len(by_author) > 1}
    types = sorted({name for by_author in common.values() for one in by_author.values() for name in one.types})
    questions = [ANY, *types]
    pairs = [
        pair
        for first, second in combinations(sorted({name for by in common.values() for name in by}), 2)
        for question in questions
        if (pair := _pair(common, first, second, question, rounds)) is not None
    ]
    overall = {question: _overall(common, question, rounds) for question in questions} if common else {}
    found = [_disagreement(number, by_author) for number, by_author in common.items()]
    worst = sorted((one for one in found if one.share > 0), key=lambda one: (-one.share, one.sample_id))
    return Agreement(tuple(pairs), overall, tuple(worst), len(common))


def independent(annotations: Mapping[int, Sequence[Annotation]]) -> dict[int, list[Annotation]]:
    """The annotations given without seeing another: the first labeller's, and blind ones. Whoever sees a label
    before giving one agrees too often, or is asked only where it is wrong.
    """
    found: dict[int, list[Annotation]] = {}
    for number, given in annotations.items():
        first = next((annotation.author for annotation in given if not annotation.blind), None)
        found[number] = [annotation for annotation in given if annotation.blind or annotation.author == first]
    return found


def cohen_kappa(first: ArrayLike, second: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Cohen's kappa of two raters' categories (N,) whole numbers; None where chance alone would agree entirely.

    `weights` (N,) count the parts.
    """
    a, b = np.asarray(first, np.int64), np.asarray(second, np.int64)
    count = np.ones(len(a)) if weights is None else np.asarray(weights, float)
    total = count.sum()
    if not total:
        return None
    categories = np.union1d(a, b)
    shares = [np.array([count[x == one].sum() for one in categories]) / total for x in (a, b)]
    expected = float(shares[0] @ shares[1])
    if expected >= 1:
        return None
    return float((count[a == b].sum() / total - expected) / (1 - expected))


def fleiss_kappa(table: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Fleiss' kappa of a table (N, K): how many raters put part n into category k; at least two for each part.

    `weights` (N,) count the parts. None where chance alone would agree entirely.
    """
    counts = np.asarray(table, float)
    part = np.ones(len(counts)) if weights is None else np.asarray(weights, float)
    raters = counts.sum(axis=1)
    if not len(counts) or not part.sum() or raters.min() < 2:
        return None
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    observed = float((part * agreeing).sum() / part.sum())
    shares = (part[:, None] * counts).sum(axis=0) / (part * raters).sum()
    expected = float((shares**2).sum())
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def _latest(annotations: Sequence[Annotation]) -> dict[str, Annotation]:
    found: dict[str, Annotation] = {}
    for annotation in sorted(annotations, key=lambda annotation: annotation.id or 0):
        found[annotation.author] = annotation
    return found


def _answer(annotation: Annotation, question: str) -> int | None:
    """1: yes, 0: no, None: this annotation does not say."""
    if annotation.label == UNKNOWN:
        return None
    return int(annotation.label == DEFECTIVE) if question == ANY else int(question in annotation.types)


def _pair(
    common: Mapping[int, Mapping[str, Annotation]], first: str, second: str, question: str, rounds: int
) -> Pair | None:
    both = [(by[first], by[second]) for by in common.values() if first in by and second in by]
    answers = [(_answer(a, question), _answer(b, question)) for a, b in both]
    answered = np.array([(a, b) for a, b in answers if a is not None and b is not None], np.int64).reshape(-1, 2)
    if not len(answered):
        return None

    def kappa(weights: Weights) -> float | None:
        return cohen_kappa(answered[:, 0], answered[:, 1], weights)

    same = int((answered[:, 0] == answered[:, 1]).sum())
    return Pair(
        first, second, question, bootstrap(kappa, len(answered), rounds=rounds), exact_rate(same, len(answered))
    )


def _overall(common: Mapping[int, Mapping[str, Annotation]], question: str, rounds: int) -> Interval:
    rows = []
    for by_author in common.values():
        answers = [answer for annotation in by_author.values() if (answer := _answer(annotation, question)) is not None]
        if len(answers) > 1:
            rows.append([answers.count(0), answers.count(1)])
    table = np.array(rows, np.int64).reshape(-1, 2)
    return bootstrap(lambda weights: fleiss_kappa(table, weights), len(table), rounds=rounds)


def _disagreement(number: int, by_author: Mapping[str, Annotation]) -> Disagreement:
    annotations = list(by_author.values())
    pairs = list(combinations(annotations, 2))
    differing = sum((a.label, sorted(a.types), a.grade) != (b.label, sorted(b.types), b.grade) for a, b in pairs)
    given = tuple((annotation.author, _say(annotation)) for annotation in annotations)
    return Disagreement(number, differing / len(pairs), given)


def _say(annotation: Annotation) -> str:
    grade = "" if annotation.grade is None else f", grade {annotation.grade}"
    return (", ".join(annotation.types) or annotation.label) + grade
