"""Knapp's test of a machine that inspects injectables, against people who inspect the same containers.

Sources: J. Z. Knapp and H. K. Kushner, "Generalized methodology for evaluation of parenteral inspection procedures",
Journal of the Parenteral Drug Association 34 (1980) 14-61; zones as in USP <1790>: each container is inspected many
times by people; those that they reject in 70 % or more are the reject zone, those in 30 % or fewer the accept zone.
The machine passes where it rejects the reject zone at least as often as people do, and the accept zone no more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import Interval, Weights, bootstrap

REJECT_FROM, ACCEPT_TO = 0.7, 0.3
Answer = Literal["passed", "failed"]


@dataclass(frozen=True, slots=True)
class Zone(Figures):
    """Containers of one zone, and the mean share of inspections that reject one: by people, by the machine, and
    machine less people with its interval over containers. In the reject zone it is the reject-zone efficiency.
    """

    containers: int
    people: float | None
    machine: float | None
    difference: Interval


@dataclass(frozen=True, slots=True)
class Knapp(Figures):
    """`rejected` has (people, machine) for each container. `answer` is Knapp's own, from the estimates; `proven` says
    whether the whole interval of the difference is on the right side in both zones.
    """

    people_inspections: int
    machine_inspections: int
    reject: Zone
    grey: int
    accept: Zone
    rejected: tuple[tuple[float, float], ...]
    answer: Answer | None
    proven: bool


def knapp(people: ArrayLike, machine: ArrayLike, *, rounds: int = 1000) -> Knapp:
    """Compare (P, N) inspections by people with (P, M) by the machine, of the same P containers, 0 OK and 1 NG.

    `answer` is None where nobody rejects any container reliably: there is nothing to measure. Raises InputError for
    unequal numbers of containers, or none.
    """
    by_hand, by_machine = np.asarray(people, float), np.asarray(machine, float)
    if by_hand.ndim != 2 or by_machine.ndim != 2 or len(by_hand) != len(by_machine) or not by_hand.size:
        raise InputError("people and machine have to inspect the same containers, each at least once. Complete both")
    one, two = by_hand.mean(axis=1), by_machine.mean(axis=1)
    far = 1e-9  # a share of three tenths is in the zone however it is rounded
    upper, lower = one >= REJECT_FROM - far, one <= ACCEPT_TO + far
    reject, accept = (_zone(one[zone], two[zone], rounds) for zone in (upper, lower))
    answer: Answer | None = None
    if reject.people is not None and reject.machine is not None:
        worse = reject.machine < reject.people - far or (accept.machine or 0.0) > (accept.people or 0.0) + far
        answer = "failed" if worse else "passed"
    low, high = reject.difference.lower, accept.difference.upper
    pairs = tuple((round(float(a), 6), round(float(b), 6)) for a, b in zip(one, two, strict=True))
    proven = low is not None and low >= 0 and high is not None and high <= 0
    grey = int((~upper & ~lower).sum())
    return Knapp(by_hand.shape[1], by_machine.shape[1], reject, grey, accept, pairs, answer, proven)


def _zone(people: np.ndarray, machine: np.ndarray, rounds: int) -> Zone:
    count = len(people)
    less = machine - people

    def difference(weights: Weights) -> float | None:
        return float(weights @ less / weights.sum()) if weights.sum() else None

    means = (float(people.mean()), float(machine.mean())) if count else (None, None)
    return Zone(count, means[0], means[1], bootstrap(difference, count, rounds=rounds))
