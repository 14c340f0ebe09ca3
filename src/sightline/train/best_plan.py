"""Fitting the reader with every way to bring images in, and keeping the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.models.backbone import backbone
from sightline.train.freed import release_memory
from sightline.train.intake import InputSize, Intake, Part
from sightline.train.patches import Maps, Progress
from sightline.train.plans import USUAL_LEAD, Plan, source_of, with_small_bank, with_small_cells
from sightline.train.reader import Fitted, fit_reader
from sightline.train.settings import TrainSettings
from sightline.train.trunk import Trunk, open_trunk


@dataclass(frozen=True)
class Tried:
    """A plan, and what was fitted with it."""

    plan: Plan
    fitted: Fitted
    intake: Intake
    trunk: Trunk
    int8: bytes | None


def fit_best(good: list[Part], plans: Sequence[Plan], settings: TrainSettings, progress: Progress) -> Tried:
    """Fit every plan; the first stays unless another tells synthetic defects better by its lead. Then small cells."""
    best = None
    merits: dict[str, float] = {}
    told: set[str] = set()
    tried: Tried | None = None
    for plan in plans:
        tried = _fit(plan, good, settings, progress, told, tried)
        merits[plan.name] = tried.fitted.merit
        if best is None or tried.fitted.merit > best.fitted.merit + best.plan.lead:
            best = tried
    assert best is not None
    others = ", ".join(f"{name} {merit:.3f}" for name, merit in merits.items() if name != best.plan.name)
    why = f"{best.plan.name}, {_why_size(best.plan.size)}"
    why += f"; AUROC and AUPRO on synthetic defects {best.fitted.merit:.3f}, {others}" if others else ""
    small, cells = with_small_cells(best.plan, best.fitted.reader, settings)
    if small is not None:
        tried = _fit(small, good, settings, progress, told, tried)
        cells = (
            f"AUROC and AUPRO on synthetic defects {tried.fitted.merit:.3f}, {best.fitted.merit:.3f} with usual ones"
        )
        best = tried if tried.fitted.merit > best.fitted.merit + USUAL_LEAD else best
    width = source_of(best.plan, settings).stride_px
    best.fitted.reasons.update({"input": why, "cells": f"{width} px of the input wide; {cells}"})
    return best


def _fit(
    plan: Plan, good: list[Part], settings: TrainSettings, progress: Progress, told: set[str], before: Tried | None
) -> Tried:
    """Fit a plan. The one `before` lets its images go, and lends its trunk unless that was made for them."""
    lent: Trunk | None = None
    if before is not None:
        before.intake.rest()
        lent = before.trunk if before.int8 is None and backbone(settings.backbone).any_size else None
    release_memory()
    intake = Intake(good, plan.size, settings.roi, plan.golden, told)
    int8 = _int8(settings, intake, progress)
    trunk = lent or open_trunk(settings.backbone, settings.threads, int8)
    fitted = fit_reader(Maps(trunk, source_of(plan, settings)), intake, with_small_bank(plan, settings), progress)
    return Tried(plan, fitted, intake, trunk, int8)


def _int8(settings: TrainSettings, intake: Intake, progress: Progress) -> bytes | None:
    if settings.precision != "int8":
        return None
    from sightline.train.quantise import int8_trunk  # most trainings need no quantiser

    progress("quantising the trunk", 0, 1)
    return int8_trunk(settings, intake)


def _why_size(size: InputSize) -> str:
    if size.overlap is not None:
        return f"tiles of {size.width} x {size.height} px, as set"
    return f"{size.width} x {size.height} px, {size.scale:.2f} input px per image px"
