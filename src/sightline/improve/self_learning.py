"""Self-learning: memory banks follow slow change, by what good parts have in common, and never learn a known defect.

Two kinds of parts teach. Those that are OK without doubt do so where three others share what is new in them. Those that
were for REVIEW and that a person called good teach whatever is new. Nothing is learned while parts score as they did
when the recipe was made, and nothing takes effect that the canary has not passed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.progress import Progress, unwatched
from sightline.core.result import Verdict
from sightline.imaging.image import Source
from sightline.improve.admission import Admitted, Bounds, admit, admit_cells, defect_patches, prune
from sightline.improve.canary import Canary, KnownPart, compare, in_question, judge_known
from sightline.improve.patches import PatchedPart, PatchReader
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe, read_floats

MIN_PARTS = 8  # a round of fewer says nothing of how parts look now
ATTEMPTS = 3  # to leave out what hides a known defect, before the round is given up
CONFIRMED = Bounds(new=2.0, support=0)  # parts that a person called good need no others to agree
PLACE = replace(CONFIRMED, new=1.0, round_share=Bounds.quota)  # another line: all that its good parts have
HARMLESS = Bounds(round_share=Bounds.quota)  # a region is learned whole, as far as the quota goes


@dataclass(frozen=True)
class Round:
    """What came of a round. `adaptation` is None where nothing is to change, and `reason` says why.

    `parts` were read, `score` is their mean and `usual` that of held-out good parts when the recipe was made. `added`
    entries would join; `unsupported` and `near_defect` patches were refused.
    """

    adaptation: Adaptation | None
    reason: str
    parts: int
    score: float
    usual: float
    added: int = 0
    unsupported: int = 0
    near_defect: int = 0
    canary: Canary | None = None

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        names = ("reason", "parts", "added", "unsupported", "near_defect")
        numbers = {"score": round(self.score, 4), "usual": round(self.usual, 4)}
        canary = None if self.canary is None else self.canary.to_json()
        return {**{name: getattr(self, name) for name in names}, **numbers, "canary": canary}


class Learner:
    """What one recipe learns at one place. `known` are the parts that the canary judges.

    Raises RecipeError for a recipe that cannot learn (`PatchReader`).
    """

    def __init__(self, recipe: Recipe, known: Sequence[KnownPart], threads: int = 2) -> None:
        self.reader = PatchReader(recipe, threads)
        self.card: Card = recipe.card
        self._inspector = Inspector(recipe, threads)
        self._known = known
        self._heat_limit = recipe.card.calibration.heat_threshold
        self._sure = Bounds(heat_limit=self._heat_limit)
        scores = read_floats(recipe.data, "calibration")
        self._usual = 0.0 if scores is None or not scores.size else float(scores.mean())

    def learn(
        self,
        current: Adaptation | None,
        sure: Sequence[Source],
        confirmed: Sequence[Source],
        change: int,
        progress: Progress = unwatched,
    ) -> Round:
        """One round: `sure` parts are OK without doubt, `confirmed` ones a person called good.

        `change` numbers what joins. The adaptation of the answer has passed the canary.
        """
        base = current or self.reader.own
        doubtless = [part for part in self._read(sure, base) if part.score <= self.card.band.low]
        told = self._read(confirmed, base)
        count = len(doubtless) + len(told)
        mean = float(np.mean([part.score for part in (*doubtless, *told)])) if count else 0.0
        if count < MIN_PARTS:
            return Round(None, f"{count} usable parts are too few, {MIN_PARTS} are needed", count, mean, self._usual)
        if mean <= self._usual:
            return Round(None, "parts score as they did when the recipe was made", count, mean, self._usual)
        defects = defect_patches(self._read_known(base), self._heat_limit, self.reader.levels)
        first = admit(told, base, self.reader.levels, defects, change, CONFIRMED)
        both = admit(doubtless, first.adaptation, self.reader.levels, defects, change, self._sure)
        refused = {"unsupported": both.unsupported, "near_defect": first.near_defect + both.near_defect}
        new, canary = self._checked(base, both.adaptation, change, progress)
        done = Round(None, "", count, mean, self._usual, self._count(new, change), canary=canary, **refused)
        if not canary.passed:
            return replace(done, reason=f"the canary refused it: {canary.reason}")
        if not done.added:
            return replace(done, reason="nothing that is new was shared by enough parts and unlike known defects")
        return replace(done, adaptation=new, reason="learned")

    def forgive(
        self, current: Adaptation | None, source: Source, box: tuple[int, int, int, int] | None, change: int,
        progress: Progress = unwatched,
    ) -> Round:  # fmt: skip
        """A person has called what is in a part harmless: the outlined regions of the picture, or `box` (x, y, width,
        height) px of it.
        """
        if box is not None and self.card.golden is not None:
            raise InputError("this recipe aligns its pictures: leave the box out, and the outlined regions are meant")
        base = current or self.reader.own
        part = self.reader.read(source, base)
        hot = part.heat >= min(self._heat_limit, float(part.heat.max()))
        inside = hot if box is None else _within(part, box) & (part.heat > 0)
        new = admit_cells(part, base, self.reader.levels, inside, change, HARMLESS)
        canary = self.try_out(base, new, progress)
        done = Round(None, "", 1, part.score, self._usual, self._count(new, change), canary=canary)
        if not done.added:
            return replace(done, reason="there is nothing there that the recipe does not know as good already")
        if not canary.passed:
            return replace(done, reason=f"refused: {canary.reason}")
        return replace(done, adaptation=new, reason="learned")

    def admit_confirmed(self, base: Adaptation, good: Sequence[Source], change: int) -> Admitted:
        """What is new in parts that people call good, read with `base`, joins it; known defects are not looked at."""
        none = {name: level.bank[:0] for name, level in self.reader.levels.items()}
        return admit(self._read(good, base), base, self.reader.levels, none, change, PLACE)

    def admit_checked(self, base: Adaptation, good: Sequence[Source], change: int) -> tuple[Adaptation, Canary]:
        """The same, without what hides known defects; these are judged in their own light, not in that of `base`."""
        defects = defect_patches(self._read_known(base), self._heat_limit, self.reader.levels)
        new = admit(self._read(good, base), base, self.reader.levels, defects, change, PLACE).adaptation
        return self._checked(base, new, change, unwatched)

    def verdicts(
        self, adaptation: Adaptation | None, parts: Sequence[KnownPart], progress: Progress = unwatched
    ) -> dict[str, Verdict]:
        """The verdicts of parts with an adaptation, by name; parts that cannot be read are left out."""
        self._inspector.adapt(adaptation)
        return judge_known(self._inspector, parts, progress)

    def _checked(self, base: Adaptation, new: Adaptation, change: int, progress: Progress) -> tuple[Adaptation, Canary]:
        """The new adaptation without what hides known defects, as far as a few attempts find it; and the canary."""
        canary = self.try_out(base, new, progress)
        for _ in range(ATTEMPTS):
            hidden = {*canary.lost, *canary.weakened}
            if not hidden:
                break
            parts = self._read_known(base, hidden)
            new = prune(new, change, base, parts)
            canary = self.try_out(base, new, progress)
        return new, canary

    def try_out(self, current: Adaptation | None, new: Adaptation, progress: Progress = unwatched) -> Canary:
        """What becomes of the known parts; what they were before is looked at only where that matters."""
        after = self._judge_known(new, self._known, progress)
        before = self._judge_known(current or self.reader.own, in_question(self._known, after), unwatched)
        return compare(self._known, before, after)

    def _judge_known(
        self, adaptation: Adaptation, parts: Sequence[KnownPart], progress: Progress
    ) -> dict[str, Verdict]:
        """Verdicts of known parts, of each in the light that it was photographed in."""
        if not adaptation.changes_light:
            return self.verdicts(adaptation, parts, progress)
        found = self.verdicts(adaptation, [part for part in parts if part.here], progress)
        return found | self.verdicts(_in_own_light(adaptation), [part for part in parts if not part.here], progress)

    def _count(self, adaptation: Adaptation, change: int) -> int:
        return sum(int((origin == change).sum()) for origin in adaptation.origins.values())

    def _read_known(self, base: Adaptation, names: Collection[str] | None = None) -> list[PatchedPart]:
        """The known defective parts, or those of some names, each in the light that it was photographed in."""
        chosen = [part for part in self._known if part.defective and (names is None or part.name in names)]
        here = self._read([part.source for part in chosen if part.here], base)
        return here + self._read([part.source for part in chosen if not part.here], _in_own_light(base))

    def _read(self, sources: Sequence[Source], base: Adaptation) -> list[PatchedPart]:
        found = []
        for source in sources:
            try:
                found.append(self.reader.read(source, base))
            except (InputError, OSError):
                continue  # a picture that was cleared away meanwhile teaches nothing
        return found


def _in_own_light(adaptation: Adaptation) -> Adaptation:
    return replace(adaptation, gain=(1.0, 1.0, 1.0), offset=(0.0, 0.0, 0.0))


def _within(part: PatchedPart, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which cells of the heat lie in a box of the picture."""
    high, wide = part.heat.shape
    (x, y, w, h), (left, top, inner_w, inner_h) = part.letterbox.crop, part.letterbox.inner
    height, width = part.letterbox.input_size
    columns = ((np.arange(wide) + 0.5) * width / wide - left) * w / inner_w + x
    rows = ((np.arange(high) + 0.5) * height / high - top) * h / inner_h + y
    across = (columns >= box[0]) & (columns <= box[0] + box[2])
    down = (rows >= box[1]) & (rows <= box[1] + box[3])
    inside: NDArray[np.bool_] = down[:, None] & across[None, :]
    return inside
