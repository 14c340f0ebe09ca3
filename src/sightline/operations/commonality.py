"""Parts that an alarm is about: what they have in common, and their defect's name, given to all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core.errors import InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.improve.commonality import Common, find_common
from sightline.operations.labels import annotate
from sightline.operations.reviews import View, collected, views_of, worst
from sightline.store.alarms import Alarm
from sightline.store.annotations import DEFECTIVE, Annotation
from sightline.store.inspections import Filter, Record
from sightline.store.store import Store

READ, AT_ONCE = 2000, 500  # records since the change began
BEFORE = 200  # earlier parts that were not OK
SHOWN = 60
MAX_NAMED = 200
NOT_OK = (Verdict.NG, Verdict.REVIEW)


@dataclass(frozen=True, slots=True)
class Concerned:
    """The newest parts that were not OK since an alarm's change began, each with its worst view; how many there were
    of how many inspected ones; and what they have in common.
    """

    parts: tuple[tuple[Record, View], ...]
    not_ok: int
    of: int
    common: tuple[Common, ...]


def concerned(store: Store, id: int) -> Concerned:
    """The parts that an alarm is about. Raises NotFoundError."""
    alarm = store.alarms.get(id)
    since = tuple(part for part in _since(store, alarm) if _judged(part, alarm))
    not_ok = tuple(part for part in since if part.verdict is not Verdict.OK)
    ok = tuple(part for part in since if part.verdict is Verdict.OK)
    before: tuple[Record, ...] = ()
    if since:
        wanted = Filter(station=alarm.station, verdicts=NOT_OK)
        found = store.inspections.page(wanted, since[0].cursor, BEFORE)
        before = tuple(part for part in found if _judged(part, alarm))
    shown = tuple((part, worst(views_of(store, part))) for part in reversed(not_ok[-SHOWN:]))
    return Concerned(shown, len(not_ok), len(since), find_common(not_ok, ok, before))


def name_type(store: Store, numbers: Sequence[int], type: str, author: str) -> tuple[int, ...]:
    """Say of inspected parts that they are defective and of which type; the samples that show it.

    Each part's worst view is labelled, and is kept from now on. Raises InputError, naming the part, before anything is
    written where a part is there no more, has no picture, or was OK, and for a type without a name.
    """
    if not type.strip():
        raise InputError("a defect type needs a name. Write how people at the line call it")
    if not 0 < len(numbers) <= MAX_NAMED:
        raise InputError(f"{len(numbers)} parts: name 1 to {MAX_NAMED} at once")
    views = []
    for number in dict.fromkeys(numbers):
        try:
            part = store.inspections.get(number)
        except NotFoundError:
            raise InputError(f"there is no part {number}. Look it up again") from None
        view = worst(views_of(store, part))
        if part.verdict is Verdict.OK:
            raise InputError(f"part {number} was OK. Leave it out, or say in its review what is wrong with it")
        if view.hash is None:
            raise InputError(f"no picture of part {number} is kept any more. Leave it out")
        views.append((part, view))
    named = []
    for part, view in views:
        sample = view.sample or collected(store, part, view)
        if sample is None:
            raise InputError(f"no picture of part {part.id} is kept any more. Leave it out")
        annotate(store, sample.id, Annotation(label=DEFECTIVE, types=(type.strip(),), author=author))
        named.append(sample.id)
    return tuple(named)


def _since(store: Store, alarm: Alarm) -> list[Record]:
    found: list[Record] = []
    after = alarm.since - 1
    while len(found) < READ and (some := store.inspections.recorded_after(after, AT_ONCE)):
        found += some
        after = some[-1].id or after
    return found


def _judged(part: Record, alarm: Alarm) -> bool:
    """Whether a part counts, and was judged by the alarm's recipe at its station."""
    views = part.details.get("views") or ()
    recipes = {part.recipe_hash, *(view.get("recipe_hash") for view in views)}
    return part.station == alarm.station and part.counts and not part.error and alarm.recipe_hash in recipes
