"""Prices of errors, and how many parts of a line are defective: what thresholds are weighed by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sightline.core.errors import SettingError

PER = 1000  # parts that a cost is stated for


@dataclass(frozen=True)
class Prices:
    """What one error costs, in any money, and the share of parts that are defective on the line.

    `escape` is the price of a defective part judged OK, `overkill` that of a good part judged NG, `review` that of any
    part a person has to look at; None: there is no review, and one threshold separates OK from NG.
    """

    defect_rate: float = 0.01
    escape: float = 50.0
    overkill: float = 2.0
    review: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.defect_rate < 1:
            raise SettingError(
                f"defect rate {self.defect_rate} is out of range. Give a share between 0 and 1, like 0.01"
            )
        for name in ("escape", "overkill", "review"):
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0):
                raise SettingError(f"{name} price {price} is not a price. Give a number from 0 upwards")
        if not self.escape + self.overkill:
            raise SettingError("both errors are free, so nothing is to be gained. Give an escape price, like 50")

    @property
    def all_ok(self) -> float:
        """The cost per 1,000 parts of judging every part OK: what a recipe must beat to be worth having."""
        return PER * self.defect_rate * self.escape

    @property
    def all_ng(self) -> float:
        """The cost per 1,000 parts of judging every part NG."""
        return PER * (1 - self.defect_rate) * self.overkill
