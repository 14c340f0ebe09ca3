"""What a search found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sightline.evaluate.prices import Prices
from sightline.evaluate.report.text import milliseconds
from sightline.runtime.recipe import Recipe
from sightline.train.search.cost import Cost
from sightline.train.settings import TrainSettings

State = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True)
class SearchTrial:
    """One trial that counts: what was tried, what it cost, and why it ended where it did not finish.

    `scores` are those of the held-out pictures in the bench's order, as far as the trial went.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    cost: Cost | None
    ms: float | None
    seconds: float
    reason: str = ""
    default: bool = False
    scores: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The trial as plain JSON values."""
        figures = {} if self.cost is None else self.cost.to_json()
        return {
            "number": self.number,
            "state": self.state,
            "default": self.default,
            "params": dict(self.params),
            "ms": self.ms,
            "seconds": self.seconds,
            "reason": self.reason,
            **figures,
        }


@dataclass(frozen=True)
class SearchResult:
    """What `search` found: every trial, the best of them, and the recipe made with the chosen settings.

    `front` are the finished trials that no other beats in both cost and time. `chosen` is the trial whose settings were
    taken, None where none finished and the default settings stand. `importances` says by objective ("cost", "ms") what
    share of its spread each setting explains; empty where too few trials finished. `synthetic`: no labelled defect was
    there, and synthetic ones stood in. `ended` says what ended the trials: "trials", "budget" or "interrupted".
    """

    product: str
    trials: tuple[SearchTrial, ...]
    front: tuple[SearchTrial, ...]
    chosen: SearchTrial | None
    settings: TrainSettings
    why: str
    recipe: Recipe
    prices: Prices
    good: int
    defective: int
    units: int
    folds: int
    processes: int
    synthetic: bool
    searched: Mapping[str, str]
    fixed: Mapping[str, object]
    importances: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]
    seconds: float
    ended: str

    def count(self, state: State) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def default(self) -> SearchTrial | None:
        """The trial of the default settings, if it finished."""
        return next((trial for trial in self.trials if trial.default and trial.state == "finished"), None)

    def changes(self) -> dict[str, Any]:
        """The searched settings as chosen, for `--set` or for `train`."""
        values = self.settings.model_dump()
        return {name: values[name] for name in self.searched}

    def to_json(self) -> dict[str, Any]:
        """One object of plain JSON values."""
        return {
            "product": self.product,
            "chosen": None if self.chosen is None else self.chosen.number,
            "settings": self.changes(),
            "why": self.why,
            "cost_all_ok": self.prices.all_ok,
            "cost_all_ng": self.prices.all_ng,
            "ended": self.ended,
            "seconds": round(self.seconds, 3),
            "good": self.good,
            "defective": self.defective,
            "synthetic": self.synthetic,
            "folds": self.folds,
            "front": [trial.number for trial in self.front],
            "importances": {name: dict(values) for name, values in self.importances.items()},
            "trials": [trial.to_json() for trial in self.trials],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(s)} {s}" for s in ("finished", "pruned", "failed") if self.count(s))
        trials = f"{len(self.trials)} trial" + "s" * (len(self.trials) != 1)
        lines = [f"{self.product}: {trials} ({counts or 'none finished'}) in {self.seconds:.0f} s. {self.why}"]
        if self.front:
            lines.append(f"For comparison, per 1,000 parts: {beside(self.prices)}.")
        for trial in self.front:
            mark = "*" if trial == self.chosen else " "
            lines.append(f"{mark} trial {trial.number:<4} {figures(trial):<40} {pairs(trial.params)}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def money(value: float) -> str:
    """A cost with three digits or more: "0.84", "12.3", "1,240"."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def beside(prices: Prices) -> str:
    """What two rules that look at nothing would cost: a figure of a search means nothing without them."""
    return f"judging every part OK costs {money(prices.all_ok)}, every part NG {money(prices.all_ng)}"


def figures(trial: SearchTrial) -> str:
    """A finished trial's cost, its bound, and its time."""
    if trial.cost is None:
        return trial.reason or trial.state
    cost = trial.cost
    return f"cost {money(cost.value)} (at most {money(cost.upper)}), {milliseconds(trial.ms)}"


def pairs(values: Mapping[str, object]) -> str:
    """Settings as a person would give them; one that is left to the training is left out."""
    return " ".join(f"{name}={short(value)}" for name, value in values.items() if value is not None)


def short(value: object) -> str:
    """A value of a setting, short."""
    if value is None:
        return "by training"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
