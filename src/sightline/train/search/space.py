"""What is searched: the table of settings, each with the values that it may take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sightline.core.errors import SettingError
from sightline.train.settings import SIDE_PX, TrainSettings

# One line per setting, named as in TrainSettings. None leaves the choice to the training itself.
SPACE: dict[str, BaseDistribution] = {
    "side_px": IntDistribution(192, 640, step=64),
    "backbone": CategoricalDistribution(("lite0", "lite1", "lite2")),
    "bank_size": CategoricalDistribution((None, 1024, 2048, 4096, 8192)),
    "key_size": IntDistribution(32, 128, step=32),
    "sigma_cells": FloatDistribution(0.4, 1.6, log=True),
    "coarse_weight": CategoricalDistribution((None, 0.0, 0.5, 1.0)),
    "brightness": CategoricalDistribution((None, 0.0, 0.1)),
    "precision": CategoricalDistribution(("f32", "int8")),
}
# Where labels name types or grades, what recognises them, too.
LABELLED: dict[str, BaseDistribution] = {
    "classifier_rate": FloatDistribution(1e-3, 1e-2, log=True),
    "classifier_batch": CategoricalDistribution((8, 16, 32)),
    "classifier_width": CategoricalDistribution((16, 32, 64)),
    "loss": CategoricalDistribution(("adjusted", "balanced", "focal", "plain")),
    "augment": CategoricalDistribution((0.0, 0.3, 0.6)),
}
# A setting that is given decides these as well, so they are not searched beside it.
DECIDES: dict[str, tuple[str, ...]] = {"effort": ("side_px",), "tile_px": ("side_px",)}
MIN_TOP_PX = 256  # the largest input that is tried is never below it, however small the images
CONVOLUTIONAL = "lite"  # int8 is for convolutional backbones, and of others only a training can tell

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """What is searched, and what is given: `searched` by name, and the settings that a person has fixed."""

    searched: Mapping[str, BaseDistribution]
    fixed: Mapping[str, object]

    def settings(self, params: Params) -> TrainSettings:
        """The settings of one trial. Raises SettingError where values do not go together."""
        return TrainSettings.parse({**self.fixed, **params})

    def default(self) -> dict[str, Any]:
        """The values that a training without a search would have."""
        settings = TrainSettings.parse(dict(self.fixed))
        return {name: _default(name, values, settings) for name, values in self.searched.items()}

    def first(self) -> list[dict[str, Any]]:
        """What is tried before the sampler has a say: the default values, and the same on fewer pixels."""
        default = self.default()
        side, quick = default.get("side_px", 0), SIDE_PX["quick"]
        return [default, {**default, "side_px": quick}] if side > quick else [default]

    def describe(self) -> dict[str, str]:
        """What is searched, in words."""
        return {name: _described(values) for name, values in self.searched.items()}


def offer_space(
    fixed: Mapping[str, object], backbones: Sequence[str], image_side_px: float, labelled: bool = False
) -> Space:
    """The space without what is given; the input is never made larger than images of `image_side_px`.

    `image_side_px` is the side of a square with their area; `labelled` says that labels name types or grades. Raises
    SettingError for a setting that does not exist, or where everything is fixed.
    """
    TrainSettings.parse(dict(fixed))
    if not backbones:
        raise SettingError("no backbone is named. Give at least one, for instance backbones=('lite0',)")
    given = {name: value for name, value in fixed.items() if value is not None}
    table = SPACE | LABELLED if labelled and given.get("classify", True) else SPACE
    searched = {name: values for name, values in table.items() if name not in given}
    for name in given:
        for decided in DECIDES.get(name, ()):
            searched.pop(decided, None)
    if "side_px" in searched:
        sides = SPACE["side_px"]
        assert isinstance(sides, IntDistribution)
        own = sides.step * math.ceil(image_side_px / sides.step)
        searched["side_px"] = IntDistribution(sides.low, min(sides.high, max(MIN_TOP_PX, own)), step=sides.step)
    if "backbone" in searched:
        searched["backbone"] = CategoricalDistribution(tuple(dict.fromkeys(backbones)))
    names = (str(given["backbone"]),) if "backbone" in given else tuple(backbones)
    if not all(name.startswith(CONVOLUTIONAL) for name in names):
        searched.pop("precision", None)
    # What has one value only is not searched; it is as good as given.
    single = {n: v.choices[0] for n, v in searched.items() if isinstance(v, CategoricalDistribution) and v.single()}
    searched = {name: values for name, values in searched.items() if name not in single}
    if not searched:
        raise SettingError("every setting is fixed, so nothing is left to search. Use sightline train instead")
    return Space(searched, {**given, **single})


def _default(name: str, values: BaseDistribution, settings: TrainSettings) -> Any:
    if name == "side_px" and isinstance(values, IntDistribution):
        return min(values.high, SIDE_PX[settings.effort])
    default = getattr(settings, name)
    if isinstance(values, CategoricalDistribution) and default not in values.choices:
        return values.choices[0]
    return default


def _described(values: BaseDistribution) -> str:
    if isinstance(values, CategoricalDistribution):
        return ", ".join("by training" if choice is None else f"{choice}" for choice in values.choices)
    if isinstance(values, IntDistribution):
        return f"{values.low} to {values.high} in steps of {values.step}"
    if isinstance(values, FloatDistribution):
        return f"{values.low:g} to {values.high:g}" + (", logarithmic" if values.log else "")
    return str(values)
