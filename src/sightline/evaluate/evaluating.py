"""Evaluate a recipe: inspect labelled images, and put their figures together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sightline.core.card import Bounded, Card
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.evaluate.baseline import Baseline, baseline
from sightline.evaluate.evaluation import Evaluation, TypeFigures
from sightline.evaluate.explain.faithfulness import Faithfulness, faithfulness
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.evaluate.metrics.image import image_auroc, image_metrics, pixel_auroc
from sightline.evaluate.metrics.pixel import AUPRO_LIMIT, AUPRO_STRICT, aupro, heat_and_masks, pixel_curve
from sightline.evaluate.metrics.recognition import recognition
from sightline.evaluate.report.caveats import caveats
from sightline.evaluate.statistics.intervals import rate
from sightline.evaluate.trial import Inspects, Progress, Trial, inspector_of, latency, run_trial
from sightline.runtime.recipe import Recipe

UNNAMED = "(no type given)"


def evaluate(
    recipe: str | Path | Recipe | Inspects,
    samples: Iterable[Sample],
    *,
    include_trained: bool = False,
    threads: int = 2,
    references: Iterable[Sample] = (),
    explained: int = 0,
    progress: Progress | bool | None = None,
) -> Evaluation:
    """Judge labelled samples with a recipe and state how often it is right.

    `recipe` is a file, a Recipe, or anything that inspects (an Inspector; then `threads` is its own affair). `samples`
    are such, or a Dataset; `sightline.evaluate` takes the path of one, too.
    Images the recipe was made from are left out unless `include_trained`, unlabelled ones always; images that cannot
    be read count as NG. `progress(done, total)` is called after each sample; as `sightline.evaluate`, True shows a
    bar, False none, and without it there is one in a terminal or notebook. Pixel metrics compare at image size, at
    most 1024 px. With `references`, good parts that the recipe was trained on, a golden template of them is measured
    beside it. How faithful the heat is gets measured on `explained` of the defective images, at 36 inspections each.
    Raises InputError where nothing can be evaluated, RecipeError for a bad recipe, MissingExtraError where the extra
    "train" is not installed.
    """
    inspector = inspector_of(recipe, threads)
    report = progress if callable(progress) else None
    trial = run_trial(inspector, samples, include_trained=include_trained, progress=report)
    return _summary(
        inspector.card,
        trial,
        faithfulness(inspector, trial.images, explained) if explained else None,
        baseline(trial.images, references, inspector.card),
    )


def _summary(card: Card, trial: Trial, faithful: Faithfulness | None, rules: Baseline | None) -> Evaluation:
    images, failures = tuple(trial.images), tuple(trial.failures)
    ranking = image_metrics([image.score for image in images], [image.defective for image in images])
    masked = any(image.mask is not None for image in images)
    curve = pixel_curve(lambda: heat_and_masks(images if masked else ()))
    times = latency([image.ms for image in images])
    parts: tuple[Part, ...] = (*images, *failures)
    good, defective = ([part for part in parts if part.defective is kind] for kind in (False, True))
    review = sum(part.verdict == Verdict.REVIEW for part in parts)
    return Evaluation(
        card=card,
        images=images,
        failures=failures,
        image_auroc=ranking.auroc,
        image_ap=ranking.ap,
        f1_max=ranking.f1_max,
        f1_threshold=ranking.f1_threshold,
        pixel_auroc=pixel_auroc(curve),
        aupro=aupro(curve, AUPRO_LIMIT),
        aupro_05=aupro(curve, AUPRO_STRICT),
        regions=curve.regions,
        escapes=_rate_of(defective, Verdict.OK) if defective else None,
        overkills=_rate_of(good, Verdict.NG) if good else None,
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
        notes=(*ranking.notes, *caveats(trial, curve, card.without_good), *card.calibration.limits),
    )


def _rate_of(parts: Sequence[Part], verdict: Verdict) -> Bounded:
    """How many physical parts got a verdict in any of their pictures: those of one group count once."""
    got: dict[str, bool] = {}
    for part in parts:
        unit = getattr(part, "group", None) or str(part.path)
        got[unit] = got.get(unit, False) or part.verdict is verdict
    return rate(sum(got.values()), len(got))


def by_type(images: Sequence[Inspected], failures: Sequence[Failure]) -> tuple[TypeFigures, ...]:
    """Figures per defect type, by name; a part with several types counts for each of them."""
    parts: tuple[Part, ...] = (*images, *failures)
    names = {name for part in parts if part.defective for name in part.types or (UNNAMED,)}
    good = [image.score for image in images if not image.defective]
    return tuple(_figures(name, images, failures, good) for name in sorted(names))


def _figures(name: str, images: Sequence[Inspected], failures: Sequence[Failure], good: list[float]) -> TypeFigures:
    inspected = [image for image in images if image.defective and name in (image.types or (UNNAMED,))]
    failed = [failure for failure in failures if failure.defective and name in (failure.types or (UNNAMED,))]
    verdicts = [image.verdict for image in inspected]
    scores = [image.score for image in inspected]
    return TypeFigures(
        name=name,
        escapes=rate(verdicts.count(Verdict.OK), len(inspected) + len(failed)),
        review=verdicts.count(Verdict.REVIEW),
        auroc=image_auroc(good + scores, [False] * len(good) + [True] * len(scores)),
    )
