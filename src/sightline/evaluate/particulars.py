"""The report's particulars: headline figures, metrics and provenance as rows for the page."""

from __future__ import annotations

from typing import Any

from sightline.core.card import Bounded, Card
from sightline.evaluate.bounds import share
from sightline.evaluate.evaluation import AUPRO_LIMIT, AUPRO_STRICT, Evaluation
from sightline.evaluate.wording import NONE, claim


def headlines(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Escape, overkill and review: title, rate and bound (None where there are no such parts), and words."""
    return [
        _headline("Escape", evaluation.escapes, "defective parts judged OK", "No defective parts"),
        _headline("Overkill", evaluation.overkills, "good parts judged NG", "No good parts"),
        _headline("Review", evaluation.reviews, "parts left to a person", "No parts"),
    ]


def axis(evaluation: Evaluation) -> float:
    """The end of the gauges' common axis, a share: the smallest round one that holds every bound."""
    bounds = (evaluation.escapes, evaluation.overkills, evaluation.reviews)
    highest = max(bounded.upper for bounded in bounds if bounded is not None)
    return next(end for end in (0.05, 0.1, 0.25, 0.5, 1.0) if highest <= end)


def metrics(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The metrics of separation with what they rest on and what they mean."""
    good = sum(not image.defective for image in evaluation.images)
    images = f"{good:,} good, {len(evaluation.images) - good:,} defective images"
    masks = f"{sum(image.mask is not None for image in evaluation.images):,} masks"
    regions = f"{masks}, {evaluation.regions:,} regions"
    threshold = evaluation.f1_threshold
    best = "best F1 over all limits" + ("" if threshold is None else f", at score ≥ {threshold:.3g}")
    rows = [
        ("Image AUROC", evaluation.image_auroc, images, "how often a defective part scores above a good one"),
        ("Average precision", evaluation.image_ap, images, "area under precision over recall"),
        ("F1-max", evaluation.f1_max, images, f"{best}; a ceiling, chosen on these images"),
        (
            "Pixel AUROC",
            evaluation.pixel_auroc,
            masks,
            "how often a defective pixel is hotter than a normal one",
        ),
        ("AUPRO", evaluation.aupro, regions, _overlap(AUPRO_LIMIT)),
        ("AUPRO, strict", evaluation.aupro_05, regions, _overlap(AUPRO_STRICT)),
    ]
    return [dict(zip(("name", "value", "basis", "meaning"), row, strict=True)) for row in rows]


def provenance(card: Card) -> list[tuple[str, str]]:
    """Where the recipe comes from, as (name, value)."""
    origin = card.provenance
    return [
        ("Backbone", card.backbone),
        ("Input size", f"{card.width} × {card.height} px, {card.scale:.3g} per image px"),
        ("Made", origin.created),
        ("Training images", f"{len(card.trained_on):,}"),
        ("Dataset hash", origin.dataset),
        ("Parent recipe", origin.parent or "none"),
        ("Seed", str(origin.seed)),
        ("Length scale", "not calibrated" if card.mm_per_px is None else f"{card.mm_per_px:g} mm per pixel"),
        ("Parity proof", _parity(card)),
    ]


def details(card: Card) -> list[tuple[str, str]]:
    """Settings, choices and package versions, as (name, value)."""
    settings = [(name, NONE if value is None else str(value)) for name, value in card.provenance.settings.items()]
    return settings + list(card.choices.items()) + list(card.provenance.versions.items())


def _headline(title: str, bounded: Bounded | None, what: str, missing: str) -> dict[str, Any]:
    if bounded is None:
        words = f"{missing}: {title.lower()} cannot be stated."
        return {"title": title, "rate": None, "upper": None, "words": words}
    words = claim(bounded, what, title.lower())
    return {"title": title, "rate": share(bounded), "upper": bounded.upper, "words": words}


def _overlap(limit: float) -> str:
    return f"mean share of a defect covered, while up to {100 * limit:g} % of normal pixels are hot"


def _parity(card: Card) -> str:
    if card.parity is None:
        return "none: this recipe has not passed its parity gate"
    proof = card.parity
    return (
        f"{proof.images} images, {proof.verdict_flips} verdicts differ, scores differ by at most "
        f"{proof.max_relative_difference:.2g} ({proof.reference} against {proof.engine})"
    )
