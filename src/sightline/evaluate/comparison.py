"""Two recipes on the same parts: who errs where, is one better, and which parts changed their verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.result import SEVERITY, Verdict
from sightline.core.sample import Sample
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.evaluate.statistics.comparison_tests import Difference, McNemar, auroc_difference, conclude, mcnemar
from sightline.evaluate.trial import Inspects, Progress, Trial, inspector_of, run_trial
from sightline.runtime.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Changed:
    """One part with another verdict; `better` says whether the second recipe is nearer to the truth."""

    path: Path
    defective: bool
    types: tuple[str, ...]
    first: Part
    second: Part

    @property
    def better(self) -> bool:
        """A defective part judged graver, or a good part judged milder."""
        graver = SEVERITY[self.second.verdict] > SEVERITY[self.first.verdict]
        return graver == self.defective

    def to_json(self) -> dict[str, Any]:
        """The change as plain JSON values."""
        return {
            "image": str(self.path),
            "defective": self.defective,
            "types": list(self.types),
            "first": str(self.first.verdict),
            "second": str(self.second.verdict),
            "better": self.better,
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `compare` found on parts that neither recipe was made from.

    An error is an escape (a defective part judged OK) or an overkill (a good part judged NG); `errors`, `escapes` and
    `overkills` are exact McNemar tests on all, the defective and the good parts. `auroc` is second - first with its
    interval, resampled by group where groups exist. `changed` has the worse ones first,
    `pairs` what both said of every part.
    """

    names: tuple[str, str]
    cards: tuple[Card, Card]
    good: int
    defective: int
    errors: McNemar
    escapes: McNemar
    overkills: McNemar
    auroc: Difference
    reviews: tuple[int, int]
    changed: tuple[Changed, ...]
    left_out_trained: int
    left_out_unlabelled: int
    pairs: tuple[tuple[Part, Part], ...]

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What may be concluded, one sentence for each test."""
        first, second = self.names
        sentences = [f"All parts. {conclude(self.errors, first, second)}"]
        sentences.append(f"Defective parts. {conclude(self.escapes, first, second)}")
        sentences.append(f"Good parts. {conclude(self.overkills, first, second)}")
        return (*sentences, f"Scores. {conclude(self.auroc, first, second)}")

    def to_json(self) -> dict[str, Any]:
        """One object of plain JSON values."""
        return {
            "first": self.names[0],
            "second": self.names[1],
            "n_good": self.good,
            "n_defective": self.defective,
            "errors": self.errors.to_json(),
            "escapes": self.escapes.to_json(),
            "overkills": self.overkills.to_json(),
            "auroc": self.auroc.to_json(),
            "reviews": list(self.reviews),
            "changed": [change.to_json() for change in self.changed],
            "left_out_trained": self.left_out_trained,
            "left_out_unlabelled": self.left_out_unlabelled,
            "conclusions": list(self.conclusions),
        }


def compare(
    first: str | Path | Recipe | Inspects,
    second: str | Path | Recipe | Inspects,
    samples: Iterable[Sample],
    *,
    include_trained: bool = False,
    threads: int = 2,
    progress: Progress | None = None,
) -> Comparison:
    """Judge the same labelled parts with two recipes, files, Recipes or whatever inspects.

    Parts that either recipe was made from are left out unless `include_trained`, unlabelled ones always; an image that
    cannot be read is NG for both. `progress(done, total)` counts both rounds. Raises InputError where no part is left,
    RecipeError for a bad recipe.
    """
    waiting, trials = list(samples), []
    inspectors = [inspector_of(recipe, threads) for recipe in (first, second)]
    for turn, inspector in enumerate(inspectors):
        done = None if progress is None else _counted(progress, turn)
        trials.append(run_trial(inspector, waiting, include_trained=include_trained, progress=done))
    one, two = (_by_path(trial) for trial in trials)
    shared = [path for path in one if path in two]
    if not shared:
        raise InputError("no part is new to both recipes. Give parts that neither was made from, or include_trained")
    names = _names(first, second)
    cards = (inspectors[0].card, inspectors[1].card)
    return _summary(names, cards, [one[path] for path in shared], [two[path] for path in shared], trials)


def _counted(progress: Progress, turn: int) -> Progress:
    return lambda done, total: progress(turn * total + done, 2 * total)


def _by_path(trial: Trial) -> dict[Path, Part]:
    parts: list[Part] = [*trial.images, *trial.failures]
    return {part.path: part for part in parts}


def _names(first: Any, second: Any) -> tuple[str, str]:
    """File names where they differ, else the whole paths, else numbers."""
    paths = [Path(one) if isinstance(one, str | Path) else None for one in (first, second)]
    if paths[0] is None or paths[1] is None or paths[0] == paths[1]:
        return "Recipe 1", "Recipe 2"
    if paths[0].name != paths[1].name:
        return paths[0].name, paths[1].name
    return str(paths[0]), str(paths[1])


def _summary(
    names: tuple[str, str], cards: tuple[Card, Card], one: Sequence[Part], two: Sequence[Part], trials: Sequence[Trial]
) -> Comparison:
    defective = np.array([part.defective for part in one], bool)
    right = [np.array([_right(part) for part in parts], bool) for parts in (one, two)]
    scored = [(a, b) for a, b in zip(one, two, strict=True) if isinstance(a, Inspected) and isinstance(b, Inspected)]
    grouped = any(a.group for a, _ in scored)
    pairs = [
        Changed(a.path, a.defective, a.types, a, b) for a, b in zip(one, two, strict=True) if a.verdict != b.verdict
    ]
    return Comparison(
        names=names,
        cards=cards,
        good=int((~defective).sum()),
        defective=int(defective.sum()),
        errors=mcnemar(*right),
        escapes=mcnemar(*(values[defective] for values in right)),
        overkills=mcnemar(*(values[~defective] for values in right)),
        auroc=auroc_difference(
            [a.score for a, _ in scored],
            [b.score for _, b in scored],
            [a.defective for a, _ in scored],
            groups=[a.group or str(a.path) for a, _ in scored] if grouped else None,
        ),
        reviews=tuple(sum(part.verdict is Verdict.REVIEW for part in parts) for parts in (one, two)),  # type: ignore[arg-type]
        changed=tuple(sorted(pairs, key=lambda change: change.better)),
        left_out_trained=max(trial.left_out_trained for trial in trials),
        left_out_unlabelled=trials[0].left_out_unlabelled,
        pairs=tuple(zip(one, two, strict=True)),
    )


def _right(part: Part) -> bool:
    """Neither an escape nor an overkill; what goes to a person is not an error."""
    if isinstance(part, Failure):
        return part.defective
    return part.verdict is not (Verdict.OK if part.defective else Verdict.NG)
