"""Prices of errors, and how many parts of a line are defective: what thresholds are weighed by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from sightline.core.errors import SettingError

PER = 1000  # parts that a cost is stated for


@dataclass(frozen=True)
class Prices:
    """What one error costs, in any money, and the share of parts that are defective on the line.

    `escape` is the price of a defective part judged OK, `overkill` that of a good part judged NG, `review` that of any
    part a person has to look at; None: there is no review, and one threshold separates OK from NG. `stop` is the price
    of one stop of the line, for a changeover or an alarm, `retraining` that of people's work on a new recipe.
    """

    defect_rate: float = 0.01
    escape: float = 50.0
    overkill: float = 2.0
    review: float | None = None
    stop: float = 0.0
    retraining: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.defect_rate < 1:
            raise SettingError(
                f"defect rate {self.defect_rate} is out of range. Give a share between 0 and 1, like 0.01"
            )
        for name in ("escape", "overkill", "review", "stop", "retraining"):
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0):
                raise SettingError(f"{name} price {price} is not a price. Give a number from 0 upwards")
        if not self.escape + self.overkill:
            raise SettingError("both errors are free, so nothing is to be gained. Give an escape price, like 50")

    @classmethod
    def parse(cls, texts: Sequence[str], given: Prices | None = None) -> Prices:
        """Prices as people type them, `escape=50`; those that are not there are `given` ones. Raises SettingError."""
        found: dict[str, float] = {}
        names = [field.name for field in fields(cls)]
        for text in texts:
            name, _, value = text.partition("=")
            if name not in names:
                raise SettingError(f"'{text}' is no price. Use one of: {', '.join(f'{one}=' for one in names)}")
            try:
                found[name] = float(value)
            except ValueError as error:
                raise SettingError(f"'{text}' is no price. Write it as escape=50") from error
        return replace(given or cls(), **found)

    @property
    def change(self) -> float:
        """The cost of one change to another recipe: people's work, and the changeover."""
        return self.retraining + self.stop

    def paid_back(self, saved: float) -> float:
        """After how many parts a change is paid back that saves so much per 1,000 parts; infinity where it never is."""
        return PER * self.change / saved if saved > 0 else math.inf

    @property
    def all_ok(self) -> float:
        """The cost per 1,000 parts of judging every part OK: what a recipe must beat to be worth having."""
        return PER * self.defect_rate * self.escape

    @property
    def all_ng(self) -> float:
        """The cost per 1,000 parts of judging every part NG."""
        return PER * (1 - self.defect_rate) * self.overkill
