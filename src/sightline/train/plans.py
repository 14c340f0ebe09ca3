"""How images come into a recipe: the ways worth trying for a product, the usual one first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightline.core.errors import InputError
from sightline.core.progress import Progress
from sightline.models.backbone import Backbone, backbone, finer
from sightline.runtime.alignment import Golden
from sightline.train.anomaly.fitting import Fitted, fit_anomaly_head
from sightline.train.anomaly.memory_bank import Maps
from sightline.train.backbone.extractor import FeatureExtractor, OnnxExtractor, open_extractor
from sightline.train.images.alignment import try_alignment
from sightline.train.images.loader import (
    ImageLoader,
    InputSize,
    Part,
    choose_size,
    image_shapes,
    release_memory,
    stretched_size,
    warn,
)
from sightline.train.settings import TrainSettings

DEFAULT_LEAD, ALIGNED_LEAD = 0.01, 0.05
DETAIL = 0.55  # input px per image px, at least, within MAX_GROWTH times the side that the effort sets
MAX_GROWTH = 2.0
SMALL_BANK = 1024  # beside small cells: cells times patches stay what they usually are
VARIED = 0.15  # relative spread of the images' height or width above which stretching is worth a try


@dataclass(frozen=True)
class Plan:
    """One way: its name, the input, the golden part that images are aligned to, if any, and whether the fine level
    has small cells.
    """

    name: str
    size: InputSize
    golden: Golden | None = None
    small: bool = False

    @property
    def lead(self) -> float:
        """By how much of the mean of AUROC and AUPRO another plan must be better to take this one's place.

        Synthetic defects know nothing of the right place and pose of what is on a part, which is what alignment is for.
        """
        return ALIGNED_LEAD if self.golden is not None else DEFAULT_LEAD


def offer_plans(good: Sequence[Part], settings: TrainSettings) -> tuple[list[Plan], dict[str, str]]:
    """The ways to try, and what was found out on the way. One only where settings leave nothing to choose.

    Raises InputError where small cells are wanted of a backbone that has none.
    """
    plans, reasons = _sized(good, settings)
    if settings.small_cells == "never":
        return plans, reasons
    if finer(backbone(settings.backbone)) is None:
        raise InputError(f"the backbone '{settings.backbone}' has no smaller cells. Leave small_cells out")
    return [replace(plan, small=True) for plan in plans], reasons


def source_of(plan: Plan, settings: TrainSettings) -> Backbone:
    """The backbone with the maps that the plan reads."""
    source = backbone(settings.backbone)
    return (finer(source) or source) if plan.small else source


def with_small_bank(plan: Plan, settings: TrainSettings) -> TrainSettings:
    """The settings with fewer patches kept where cells are small: four times the cells, so a quarter of the patches."""
    if not plan.small or settings.bank_size is not None:
        return settings
    return settings.model_copy(update={"bank_size": SMALL_BANK})


def _sized(good: Sequence[Part], settings: TrainSettings) -> tuple[list[Plan], dict[str, str]]:
    """The ways to bring images to the input."""
    if settings.tile_px is not None:
        size = InputSize(settings.tile_px, settings.tile_px, settings.tile_scale, settings.tile_overlap_px)
        return _posed([Plan("tiles", size)], good, settings)
    shapes = image_shapes(good, np.random.default_rng(settings.seed))
    step = backbone(settings.backbone).step_px
    area, reasons = settings.area_px, {}
    if settings.side_px is None and settings.effort != "quick":
        area = area_for_detail(shapes, area, settings.roi)
    if settings.budget_ms is not None:
        extractor = OnnxExtractor(
            settings.backbone, settings.threads
        )  # what the line will run, also where a GPU trains
        area, reasons["time"] = area_in_time(
            extractor, lambda px: choose_size(shapes, px, settings.roi, step), area, settings.budget_ms
        )
    plans = [Plan("one scale", choose_size(shapes, area, settings.roi, step))]
    spread = float(np.max(np.std(shapes, axis=0) / np.mean(shapes, axis=0)))
    if spread > VARIED and settings.drawings and settings.effort != "quick":
        plans.append(Plan("stretched", stretched_size(shapes, area, settings.roi, step)))
    plans, found = _posed(plans, good, settings)
    return plans, reasons | found


def area_for_detail(
    shapes: Sequence[tuple[int, int]], area_px: int, roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> int:
    """Area of the input in square px: more than `area_px` where images (H, W) are so large that detail would be lost.

    A recipe that sees a third of a camera's pixels does not see the parts on a board (docs/decisions/0040).
    """
    high, wide = np.median(np.asarray(shapes, float), axis=0) * (roi[3], roi[2])
    return round(min(max(area_px, DETAIL**2 * high * wide), MAX_GROWTH**2 * area_px))


def _posed(plans: list[Plan], good: Sequence[Part], settings: TrainSettings) -> tuple[list[Plan], dict[str, str]]:
    """The plans, and before them the usual one aligned, where a test on good parts says that it helps."""
    if settings.align == "auto" and (settings.effort == "quick" or not settings.drawings or plans[0].name == "tiles"):
        return plans, {}
    found = try_alignment(good, settings.align, settings.seed)
    reasons = {"alignment": found.reason}
    if found.golden is None:
        return plans, reasons
    aligned = Plan("aligned", plans[0].size, found.golden)
    return ([aligned] if settings.align == "always" else [aligned, *plans]), reasons


# Fitting the anomaly head with every way to bring images in, and keeping the best.


@dataclass(frozen=True)
class Tried:
    """A plan, and what was fitted with it."""

    plan: Plan
    fitted: Fitted
    loader: ImageLoader
    defects: ImageLoader
    extractor: FeatureExtractor
    int8: bytes | None


def fit_best(
    good: list[Part], plans: Sequence[Plan], settings: TrainSettings, progress: Progress, known: Sequence[Part] = ()
) -> Tried:
    """Fit every plan; the first stays unless another tells held-out defects better by its lead.

    `known` are defective parts; the marked ones among them are learned from.
    """
    best = None
    merits: dict[str, float] = {}
    told: set[str] = set()
    tried: Tried | None = None
    for plan in plans:
        tried = _fit(plan, good, known, settings, progress, told, tried)
        merits[plan.name] = tried.fitted.validation_score
        if best is None or tried.fitted.validation_score > best.fitted.validation_score + best.plan.lead:
            best = tried
    assert best is not None
    others = ", ".join(
        f"{name} {validation_score:.3f}" for name, validation_score in merits.items() if name != best.plan.name
    )
    why = f"{best.plan.name}, {_why_size(best.plan.size)}"
    why += f"; AUROC and AUPRO on held-out defects {best.fitted.validation_score:.3f}, {others}" if others else ""
    width = source_of(best.plan, settings).stride_px
    best.fitted.reasons.update({"input": why, "cells": f"{width} px of the input wide"})
    return best


def _fit(
    plan: Plan,
    good: list[Part],
    known: Sequence[Part],
    settings: TrainSettings,
    progress: Progress,
    told: set[str],
    before: Tried | None,
) -> Tried:
    """Fit a plan. The one `before` lets its images go, and lends its backbone unless that was made for them."""
    lent: FeatureExtractor | None = None
    if before is not None:
        before.loader.rest()
        before.defects.rest()
        lent = before.extractor if before.int8 is None and backbone(settings.backbone).any_size else None
    release_memory()
    loader = ImageLoader(good, plan.size, settings.roi, plan.golden, told)
    int8 = _int8(settings, loader, progress)
    extractor = lent or open_extractor(settings.backbone, settings.threads, int8)
    defects = ImageLoader(known, plan.size, settings.roi, plan.golden, told)
    maps_of = Maps(extractor, source_of(plan, settings))
    fitted = fit_anomaly_head(maps_of, loader, with_small_bank(plan, settings), progress, defects=defects)
    return Tried(plan, fitted, loader, defects, extractor, int8)


def _int8(settings: TrainSettings, loader: ImageLoader, progress: Progress) -> bytes | None:
    if settings.precision != "int8":
        return None
    from sightline.train.backbone.quantise import int8_backbone  # most trainings need no quantiser

    progress("quantising the backbone", 0, 1)
    return int8_backbone(settings, loader)


def _why_size(size: InputSize) -> str:
    if size.overlap is not None:
        return f"tiles of {size.width} x {size.height} px, as set"
    return f"{size.width} x {size.height} px, {size.scale:.2f} input px per image px"


# The input's size within a time: the largest whose inspection this machine is expected to finish in time.

SIDES_PX = (2048, 1536, 1024, 768, 640, 512, 448, 384, 320, 256, 224, 192, 160, 128, 96, 64)
WHOLE = 1.6  # whole graph over bare backbone, measured: benchmarks/spine.md
RUNS = 5


def area_in_time(
    extractor: FeatureExtractor, size_of: Callable[[int], InputSize], most_px: int, budget_ms: float
) -> tuple[int, str]:
    """Area in square px, at most `most_px`, of an input that is inspected within `budget_ms`, and why.

    `size_of(area)` is the input's size for an area. Sizes are tried from the largest down, the backbone timed on each;
    decoding and resizing are not counted, as a camera's frames need none of the first and little of the second.
    Where even the smallest takes longer, it is taken, with a warning.
    """
    sides = [round(most_px**0.5), *(side for side in SIDES_PX if side**2 < most_px)]
    for side in sides:
        expected = WHOLE * _backbone_ms(extractor, size_of(side**2))
        if expected <= budget_ms:
            return side**2, f"about {expected:.1f} ms of the {budget_ms:g} ms allowed, by the backbone's time here"
    warn(
        f"no input is inspected within {budget_ms:g} ms here: the smallest takes about {expected:.1f} ms. "
        "Allow more time, more threads, or choose a smaller backbone"
    )
    return sides[-1] ** 2, f"the smallest there is, about {expected:.1f} ms where {budget_ms:g} ms are allowed"


def _backbone_ms(extractor: FeatureExtractor, size: InputSize) -> float:
    image = np.zeros((1, size.height, size.width, 3), np.uint8)
    extractor(image)  # the first run makes room
    return median_ms(lambda: extractor(image))


def median_ms(run: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a call in ms."""
    times: Sequence[float] = [_timed(run) for _ in range(runs)]
    return float(np.median(times))


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3
