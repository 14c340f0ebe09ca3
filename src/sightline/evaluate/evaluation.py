"""An evaluation: a recipe's figures on labelled images, each with its sample size and bound."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.band import Verdict
from sightline.core.card import Bounded, Card
from sightline.core.sample import Sample
from sightline.evaluate.aupro import area
from sightline.evaluate.baseline import Baseline, baseline
from sightline.evaluate.bounds import rate, share
from sightline.evaluate.breakdown import TypeFigures, by_type
from sightline.evaluate.caveats import caveats
from sightline.evaluate.curve import pixel_curve
from sightline.evaluate.faithfulness import Faithfulness, faithfulness
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.evaluate.latency import latency
from sightline.evaluate.metrics import image_metrics, pixel_area
from sightline.evaluate.pixels import heat_and_masks
from sightline.evaluate.recognition import Recognition, recognition
from sightline.evaluate.trial import Inspects, Progress, Trial, run_trial
from sightline.runtime.recipe import Recipe

AUPRO_LIMIT, AUPRO_STRICT = 0.30, 0.05
FIGURES = (
    *("image_auroc", "image_ap", "f1_max", "f1_threshold", "pixel_auroc", "aupro", "aupro_05"),
    *("escape", "escape_upper", "overkill", "overkill_upper", "review", "ms_p50", "ms_p95", "ms_p99"),
)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found. Rates count unreadable images as NG; metrics that do not exist are None.

    `escapes` counts defective parts judged OK, `overkills` good parts judged NG, `reviews` parts of either
    kind left to a person, each with its one-sided exact bound at 95 %. `aupro` is the per-region overlap up
    to a false-positive rate of 0.30, `aupro_05` up to 0.05; `f1_max` is reached at score >= `f1_threshold`.
    Times are ms from file to verdict over `timed` images.
    """

    card: Card
    images: tuple[Inspected, ...]
    failures: tuple[Failure, ...]
    image_auroc: float | None
    image_ap: float | None
    f1_max: float | None
    f1_threshold: float | None
    pixel_auroc: float | None
    aupro: float | None
    aupro_05: float | None
    regions: int
    escapes: Bounded | None
    overkills: Bounded | None
    reviews: Bounded
    ms_p50: float | None
    ms_p95: float | None
    ms_p99: float | None
    timed: int
    types: tuple[TypeFigures, ...]
    recognition: Recognition | None
    faithfulness: Faithfulness | None
    baseline: Baseline | None
    left_out_trained: int
    left_out_unlabelled: int
    trained_included: int
    notes: tuple[str, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part that counts: inspected ones, then those that failed."""
        return (*self.images, *self.failures)

    @property
    def n_good(self) -> int:
        """Good parts, unreadable ones included."""
        return sum(not part.defective for part in self.parts)

    @property
    def n_defective(self) -> int:
        """Defective parts, unreadable ones included."""
        return sum(part.defective for part in self.parts)

    @property
    def escape(self) -> float | None:
        """Share of defective parts judged OK."""
        return _share(self.escapes)

    @property
    def escape_upper(self) -> float | None:
        """Upper bound of `escape` at 95 %."""
        return _bound(self.escapes)

    @property
    def overkill(self) -> float | None:
        """Share of good parts judged NG."""
        return _share(self.overkills)

    @property
    def overkill_upper(self) -> float | None:
        """Upper bound of `overkill` at 95 %."""
        return _bound(self.overkills)

    @property
    def review(self) -> float | None:
        """Share of all parts left to a person."""
        return _share(self.reviews)

    def count(self, verdict: Verdict, defective: bool | None = None) -> int:
        """How many parts got a verdict; of good or defective ones alone if `defective` is given."""
        return sum(part.verdict == verdict and defective in (None, part.defective) for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """One flat object of plain JSON values; None where a figure cannot be computed."""
        masked = sum(image.mask is not None for image in self.images)
        return {
            "product": self.card.product,
            "n_good": self.n_good,
            "n_defective": self.n_defective,
            "n_failed": len(self.failures),
            "n_masks": masked,
            "n_regions": self.regions,
            "left_out_trained": self.left_out_trained,
            "left_out_unlabelled": self.left_out_unlabelled,
            "trained_included": self.trained_included,
            **{name: _finite(getattr(self, name)) for name in FIGURES},
            "types": [figures.to_json() for figures in self.types],
            "recognition": None if self.recognition is None else self.recognition.to_json(),
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_json(),
            "rule_based": None if self.baseline is None else self.baseline.to_json(),
            "failures": [failure.to_json() for failure in self.failures],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        from sightline.evaluate.table import table

        return table(self)


def evaluate(
    recipe: str | Path | Recipe | Inspects,
    samples: Iterable[Sample],
    *,
    include_trained: bool = False,
    threads: int = 2,
    references: Iterable[Sample] = (),
    explained: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge labelled samples with a recipe and state how often it is right.

    `recipe` is a file, a Recipe, or anything that inspects (an Inspector; then `threads` is its own affair).
    Images the recipe was made from are left out unless `include_trained`, unlabelled ones always; images that
    cannot be read count as NG. `progress(done, total)` is called after each sample. Pixel metrics compare at
    image size, at most 1024 px. With `references`, good parts that the recipe was trained on, a golden template of them
    is measured beside it. How faithful the heat is gets measured on `explained` of the defective images, at 36
    inspections each. Raises InputError where nothing can be evaluated, RecipeError for a bad
    recipe, MissingExtraError where the extra "train" is not installed.
    """
    inspector = inspector_of(recipe, threads)
    trial = run_trial(inspector, samples, include_trained=include_trained, progress=progress)
    return _summary(
        inspector.card,
        trial,
        faithfulness(inspector, trial.images, explained) if explained else None,
        baseline(trial.images, references, inspector.card),
    )


def inspector_of(recipe: str | Path | Recipe | Inspects, threads: int) -> Inspects:
    """Whatever inspects, as it is; a file or a Recipe at work. Raises RecipeError."""
    if not isinstance(recipe, str | Path | Recipe):
        return recipe
    from sightline.runtime.inspector import Inspector

    return Inspector(recipe, threads=threads)


def _summary(card: Card, trial: Trial, faithful: Faithfulness | None, rules: Baseline | None) -> Evaluation:
    images, failures = tuple(trial.images), tuple(trial.failures)
    ranking = image_metrics([image.score for image in images], [image.defective for image in images])
    masked = any(image.mask is not None for image in images)
    curve = pixel_curve(lambda: heat_and_masks(images if masked else ()))
    times = latency([image.ms for image in images])
    parts: tuple[Part, ...] = (*images, *failures)
    good = [part.verdict for part in parts if not part.defective]
    defective = [part.verdict for part in parts if part.defective]
    review = sum(part.verdict == Verdict.REVIEW for part in parts)
    return Evaluation(
        card=card,
        images=images,
        failures=failures,
        image_auroc=ranking.auroc,
        image_ap=ranking.ap,
        f1_max=ranking.f1_max,
        f1_threshold=ranking.f1_threshold,
        pixel_auroc=pixel_area(curve),
        aupro=area(curve, AUPRO_LIMIT),
        aupro_05=area(curve, AUPRO_STRICT),
        regions=curve.regions,
        escapes=rate(defective.count(Verdict.OK), len(defective)) if defective else None,
        overkills=rate(good.count(Verdict.NG), len(good)) if good else None,
        reviews=rate(review, len(parts)),
        ms_p50=times.p50,
        ms_p95=times.p95,
        ms_p99=times.p99,
        timed=times.count,
        types=by_type(images, failures),
        recognition=recognition(images, card),
        faithfulness=faithful,
        baseline=rules,
        left_out_trained=trial.left_out_trained,
        left_out_unlabelled=trial.left_out_unlabelled,
        trained_included=trial.trained_included,
        notes=(*ranking.notes, *caveats(trial, curve, card.without_good)),
    )


def _share(bounded: Bounded | None) -> float | None:
    return None if bounded is None else share(bounded)


def _bound(bounded: Bounded | None) -> float | None:
    return None if bounded is None else bounded.upper


def _finite(value: float | None) -> float | None:
    # JSON has no infinity; a threshold that only an unreadable score reaches is as good as none.
    return value if value is not None and math.isfinite(value) else None
