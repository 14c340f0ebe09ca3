"""How images come into a recipe: the ways worth trying for a product, the usual one first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightline.core.errors import InputError
from sightline.models.backbone import Backbone, backbone, finer
from sightline.models.memory import MemoryReader
from sightline.runtime.alignment import Golden
from sightline.train.budget import area_in_time
from sightline.train.intake import InputSize, Part, choose_size, image_shapes, stretched_size
from sightline.train.pose import try_alignment
from sightline.train.settings import TrainSettings
from sightline.train.trunk import OnnxTrunk

USUAL_LEAD, ALIGNED_LEAD = 0.01, 0.05
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

        Drawn defects know nothing of the right place and pose of what is on a part, which is what alignment is for.
        """
        return ALIGNED_LEAD if self.golden is not None else USUAL_LEAD


def offer_plans(good: Sequence[Part], settings: TrainSettings) -> tuple[list[Plan], dict[str, str]]:
    """The ways to try, and what was found out on the way. One only where settings leave nothing to choose.

    Raises InputError where small cells are wanted of a trunk that has none.
    """
    plans, reasons = _sized(good, settings)
    if settings.small_cells != "always":
        return plans, reasons
    if finer(backbone(settings.backbone)) is None:
        raise InputError(f"the backbone '{settings.backbone}' has no smaller cells. Leave small_cells at auto")
    return [replace(plan, small=True) for plan in plans], reasons


def with_small_cells(plan: Plan, reader: MemoryReader, settings: TrainSettings) -> tuple[Plan | None, str]:
    """The plan with small cells, where they are worth a try once its reader is fitted; and why not, if not.

    They are where parts lie alike, so that places are judged: what is usual at a place is sharper then, and drawn
    defects tell (docs/decisions/0029). Elsewhere drawn defects, which are small, would ask for them and be wrong.
    """
    if plan.small or settings.small_cells != "auto":
        return None, "as set"
    if settings.effort != "max" or settings.budget_ms is not None or settings.trunk != "frozen":
        return None, "smaller ones are tried with effort max, without budget_ms and on a frozen trunk"
    if reader.place is None or not settings.drawings:
        return None, "smaller ones are tried only where places are judged"
    if finer(backbone(settings.backbone)) is None:
        return None, "the backbone has none that are smaller"
    return replace(plan, small=True), ""


def source_of(plan: Plan, settings: TrainSettings) -> Backbone:
    """The trunk as the plan's reader reads it."""
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
    capped = settings.side_px is None
    area, reasons = settings.area_px, {}
    if settings.budget_ms is not None:
        trunk = OnnxTrunk(settings.backbone, settings.threads)  # what the line will run, also where a GPU trains
        area, reasons["time"] = area_in_time(
            trunk, lambda px: choose_size(shapes, px, settings.roi, capped, step), area, settings.budget_ms
        )
    plans = [Plan("one scale", choose_size(shapes, area, settings.roi, capped, step))]
    spread = float(np.max(np.std(shapes, axis=0) / np.mean(shapes, axis=0)))
    if spread > VARIED and settings.drawings and settings.effort != "quick":
        plans.append(Plan("stretched", stretched_size(shapes, area, settings.roi, capped, step)))
    plans, found = _posed(plans, good, settings)
    return plans, reasons | found


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
