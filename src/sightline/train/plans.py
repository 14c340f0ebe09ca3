"""How images come into a recipe: the ways worth trying for a product, the usual one first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.models.backbone import backbone
from sightline.runtime.alignment import Golden
from sightline.train.budget import area_in_time
from sightline.train.intake import InputSize, Part, choose_size, image_shapes, stretched_size
from sightline.train.pose import try_alignment
from sightline.train.settings import TrainSettings
from sightline.train.trunk import OnnxTrunk

USUAL_LEAD, ALIGNED_LEAD = 0.01, 0.05
VARIED = 0.15  # relative spread of the images' height or width above which stretching is worth a try


@dataclass(frozen=True)
class Plan:
    """One way: its name, the input, and the golden part that images are aligned to, if any."""

    name: str
    size: InputSize
    golden: Golden | None = None

    @property
    def lead(self) -> float:
        """By how much of the mean of AUROC and AUPRO another plan must be better to take this one's place.

        Drawn defects know nothing of the right place and pose of what is on a part, which is what alignment is for.
        """
        return ALIGNED_LEAD if self.golden is not None else USUAL_LEAD


def offer_plans(good: Sequence[Part], settings: TrainSettings) -> tuple[list[Plan], dict[str, str]]:
    """The ways to try, and what was found out on the way. One only where settings leave nothing to choose."""
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
