"""Whether a newly trained recipe, the challenger, may run beside the one in use, the champion, as its shadow.

Escapes come first: no known defective part may be lost, whatever is gained elsewhere. Only then are costs weighed, and
an exact paired test must not say that the champion is right more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sightline.core.figures import Figures
from sightline.core.result import Verdict
from sightline.evaluate.comparison import Comparison
from sightline.evaluate.prices import PER, Prices
from sightline.evaluate.statistics.comparison_tests import conclude, mcnemar
from sightline.evaluate.statistics.intervals import CONFIDENCE, Rate, exact_rate

Answer = Literal["promote to shadow", "keep the champion"]
PRICES = Prices(review=1.0)  # a review that cost nothing would make a recipe that asks about every part look free
CHAMPION, CHALLENGER = "the champion", "the challenger"


@dataclass(frozen=True, slots=True)
class Judged(Figures):
    """What champion and challenger said of one part that neither has learned."""

    name: str
    defective: bool
    champion: Verdict
    challenger: Verdict


@dataclass(frozen=True, slots=True)
class Standing(Figures):
    """How one recipe did; `cost` is expected per 1,000 parts of the line, None where a class was not tested."""

    escapes: Rate
    overkills: Rate
    reviews: Rate
    cost: float | None


@dataclass(frozen=True, slots=True)
class Decision(Figures):
    """The answer, why in words, and the figures it rests on. `lost` names the defective parts that the challenger calls
    OK and the champion did not; `p_value` is of the exact paired test on all parts.
    """

    answer: Answer
    reasons: tuple[str, ...]
    lost: tuple[str, ...]
    champion: Standing
    challenger: Standing
    p_value: float


def decide(parts: Sequence[Judged], prices: Prices = PRICES, ahead: int | None = None) -> Decision:
    """Weigh both recipes on the same parts, each of them given once.

    With `ahead`, the parts that are made until the next improvement, a change has to be paid back by then: else it is
    cheaper to wait, and to learn more with the same stop of the line.
    """
    champion = _standing([(part.defective, part.champion) for part in parts], prices)
    challenger = _standing([(part.defective, part.challenger) for part in parts], prices)
    test = mcnemar(
        [_right(part.defective, part.champion) for part in parts],
        [_right(part.defective, part.challenger) for part in parts],
    )
    lost = tuple(
        part.name
        for part in parts
        if part.defective and part.challenger is Verdict.OK and part.champion is not Verdict.OK
    )
    against = []
    if lost:
        against.append(f"defective parts that the champion did not call OK are OK now: {', '.join(lost)}")
    before, after = champion.escapes.count, challenger.escapes.count
    if after > before:
        against.append(f"escapes rise from {before} to {after} of {challenger.escapes.of} defective parts")
    if champion.cost is None or challenger.cost is None:
        against.append("good and defective parts that neither has learned are both needed, and one kind is missing")
    elif challenger.cost >= champion.cost:
        costs = f"{champion.cost:.1f} to {challenger.cost:.1f} per {PER:,} parts"
        against.append(f"the expected cost does not fall: {costs}")
    elif ahead is not None and (after_parts := prices.paid_back(champion.cost - challenger.cost)) > ahead:
        against.append(
            f"wait: the change costs {prices.change:g} and saves {champion.cost - challenger.cost:.1f} per {PER:,} "
            f"parts. That is paid back after {after_parts:,.0f} parts, and {ahead:,} come before the next one"
        )
    if test.only_first > test.only_second and test.p_value < 1 - CONFIDENCE:
        against.append(conclude(test, CHAMPION, CHALLENGER))
    if against:
        return Decision("keep the champion", tuple(against), lost, champion, challenger, test.p_value)
    reasons = (
        f"no known defective part is lost; escapes {before} before, {after} now, of {challenger.escapes.of}",
        f"the expected cost falls from {champion.cost:.1f} to {challenger.cost:.1f} per {PER:,} parts",
        conclude(test, CHAMPION, CHALLENGER),
    )
    return Decision("promote to shadow", reasons, lost, champion, challenger, test.p_value)


def judged(found: Comparison, names: dict[str, str]) -> list[Judged]:
    """The parts of a comparison; `names` has what people call a picture, by its file's name without the ending."""
    return [
        Judged(names.get(one.path.stem, one.path.name), one.defective, one.verdict, two.verdict)
        for one, two in found.pairs
    ]


def _right(defective: bool, verdict: Verdict) -> bool:
    """Neither an escape nor an overkill; what goes to a person is not an error."""
    return verdict is not (Verdict.OK if defective else Verdict.NG)


def _standing(said: Sequence[tuple[bool, Verdict]], prices: Prices) -> Standing:
    bad = [verdict for defective, verdict in said if defective]
    good = [verdict for defective, verdict in said if not defective]
    reviews = bad.count(Verdict.REVIEW), good.count(Verdict.REVIEW)
    cost = None
    if bad and good:
        price = prices.review or 0.0
        of_bad = (bad.count(Verdict.OK) * prices.escape + reviews[0] * price) / len(bad)
        of_good = (good.count(Verdict.NG) * prices.overkill + reviews[1] * price) / len(good)
        cost = PER * (prices.defect_rate * of_bad + (1 - prices.defect_rate) * of_good)
    return Standing(
        exact_rate(bad.count(Verdict.OK), len(bad)),
        exact_rate(good.count(Verdict.NG), len(good)),
        exact_rate(sum(reviews), len(said)),
        cost,
    )
