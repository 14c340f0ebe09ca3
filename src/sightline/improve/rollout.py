"""Whether a recipe that is being rolled out may go on from a station, is to be taken back, or has to be waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sightline.evaluate.statistics import binomial
from sightline.store.rollouts import Tally

Answer = Literal["wait", "go on", "roll back"]
DOUBT = 0.01  # of taking back a recipe that is as good as the one before, at one look at one station
LEAST_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of one station: whether it runs the recipe, why not, the alarms open for it, and the parts of both
    recipes there; `before` has none where nothing was recorded of the one before.
    """

    station: str
    runs: bool
    fault: str
    alarms: tuple[str, ...]
    after: Tally
    before: Tally


def judge(watched: Watched, parts: int) -> tuple[Answer, str]:
    """The answer for one station, and why. It goes on after `parts` parts without a reason against it.

    A share of parts that are not OK, or of errors, counts as grown where the exact conditional test of two Poisson
    rates says so (J. Przyborowski and H. Wilenski, Biometrika 31 (1940) 313-323), one-sided, at 1 %.
    """
    name, after, before = watched.station, watched.after, watched.before
    if watched.fault:
        return "roll back", f"{name} cannot run it: {watched.fault}"
    if watched.alarms:
        return "roll back", f"{name}: an alarm is open ({', '.join(watched.alarms)})"
    if grown(after.errors, after.parts + after.errors, before.errors, before.parts + before.errors):
        return "roll back", f"{name}: {after.errors} of {after.parts + after.errors} parts ended in an error"
    if before.parts and grown(after.not_ok, after.parts, before.not_ok, before.parts):
        return "roll back", (
            f"{name}: {after.not_ok} of {after.parts} parts were not OK, {before.not_ok} of {before.parts} before"
        )
    if not watched.runs:
        return "wait", f"{name} has not taken it over yet"
    if after.parts < parts:
        return "wait", f"{name}: {after.parts} of {parts} parts inspected with it"
    return "go on", f"{name}: {after.not_ok} of {after.parts} parts not OK, {before.not_ok} of {before.parts} before"


def grown(count: int, of: int, before: int, of_before: int) -> bool:
    """Whether a rate has grown beyond doubt; without anything before, `LEAST_ERRORS` are enough."""
    if not of_before:
        return count >= LEAST_ERRORS
    if count == 0:
        return False
    return binomial.lower(count, count + before, DOUBT) > of / (of + of_before)
