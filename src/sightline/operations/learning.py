"""What stations learn on the line: rounds of self-learning, what a person calls harmless, and taking it back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sightline.core.errors import ConflictError, InputError, NotFoundError, SightlineError
from sightline.core.progress import Progress, unwatched
from sightline.core.result import Verdict
from sightline.improve.canary import KnownPart
from sightline.improve.self_learning import Learner, Round
from sightline.operations.opening import opened_store
from sightline.operations.reviews import views_of
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.recipe import Recipe, parse_card
from sightline.runtime.session import OnnxSession
from sightline.store.adaptations import ACTIVE, SUGGESTED, Mode, StoredAdaptation
from sightline.store.alarms import OPEN
from sightline.store.annotations import DEFECTIVE, GOOD
from sightline.store.inspections import Filter, Record
from sightline.store.review_queue import CHALLENGE, REPEAT
from sightline.store.reviews import ANSWERED, Review
from sightline.store.samples import StoredSample
from sightline.store.store import Store, StoreLocation

EVERY_S = 60.0  # between two looks at whether a station may learn
ROUND = 24  # new pictures of good parts that make a round
WINDOW = 64  # pictures of one round, the newest
LOOKED_AT = 500  # records and answers, the newest, among which they are looked for
MAX_DEFECTIVE, MAX_GOLDEN = 200, 50  # known parts that the canary judges
RECENT = 40  # kept pictures of which people see what a change would do to them
TRUSTED_OF, TRUSTED_SHARE = 5, 0.7  # from so many of a kind on, so many have to be right for answers to teach
TRUSTED_DAYS = 90
MARKS = ("until", "answered")
LOG = logging.getLogger("sightline.learning")


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of a round for one recipe; `change` is what was stored of it, None where nothing was."""

    station: str
    recipe_hash: str
    round: Round
    change: StoredAdaptation | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        change = None if self.change is None else {"id": self.change.id, "state": self.change.state}
        return {"station": self.station, "recipe": self.recipe_hash, **self.round.to_json(), "change": change}


@dataclass(frozen=True, slots=True)
class Harmless:
    """What would come of calling a part harmless: the round, and the kept parts that would get another verdict."""

    round: Round
    changed: tuple[dict[str, Any], ...]
    looked_at: int
    change: StoredAdaptation | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        change = None if self.change is None else {"id": self.change.id, "state": self.change.state}
        more = {"changed": list(self.changed), "looked_at": self.looked_at, "change": change}
        return {**self.round.to_json(), **more}


def learn(
    where: Store | StoreLocation, station: str, author: str = "", progress: Progress = unwatched
) -> tuple[Learned, ...]:
    """One round of self-learning for every recipe that a station inspects with now, whatever its mode.

    With the mode `on` a change takes effect, else it waits for a person. Raises InputError for a station without
    pictures of OK parts, StoreError.
    """
    with opened_store(where) as store:
        hashes = _recipes_of(store, station)
        if not hashes:
            raise InputError(
                f"station {station}: there is no picture of an OK part. Have it keep some: keep.every = 10 in its file"
            )
        return tuple(learn_once(store, station, hash, author, progress) for hash in hashes)


def learn_once(store: Store, station: str, recipe_hash: str, author: str, progress: Progress = unwatched) -> Learned:
    """One round for one recipe of a station. Raises RecipeError for one that cannot learn, NotFoundError."""
    if any(alarm.recipe_hash == recipe_hash for alarm in store.alarms.page(OPEN, station)):
        held = Round(None, "a drift alarm is open: nothing is learned until somebody has acknowledged it", 0, 0.0, 0.0)
        return Learned(station, recipe_hash, held, None)
    active, number = _state(store, station, recipe_hash)
    parts = _parts(store, station, recipe_hash, {} if active is None else active.details)
    learner = _learner(store, recipe_hash, station)
    sure, confirmed = ([store.images.path(hash) for hash in hashes] for hashes in (parts.sure, parts.confirmed))
    found = learner.learn(_adaptation(store, active), sure, confirmed, number, progress)
    change = None
    if found.adaptation is not None:
        # Where no defect is known nothing guards: a person has to look.
        guarded = found.canary is not None and found.canary.defective > 0
        state = ACTIVE if store.adaptations.mode(station) == "on" and guarded else SUGGESTED
        change = store.adaptations.add(
            station, recipe_hash, number, "learned", found.adaptation.to_bytes(),
            {**found.to_json(), **parts.marks}, author, state=state, based_on=_id(active),
        )  # fmt: skip
    return Learned(station, recipe_hash, found, change)


def harmless(
    where: Store | StoreLocation,
    inspection_id: int,
    view: str,
    author: str,
    note: str = "",
    box: tuple[int, int, int, int] | None = None,
    dry_run: bool = True,
    progress: Progress = unwatched,
) -> Harmless:
    """A person calls what a part was stopped for harmless: its outlined regions, or `box` (x, y, width, height) px.

    With `dry_run` nothing changes; else it takes effect at the part's station, unless a known defect would pass. Raises
    NotFoundError where picture or recipe are not there, ConflictError where somebody else changed it meanwhile.
    """
    with opened_store(where) as store:
        return _forgive(store, inspection_id, view, author, note, box, dry_run, progress)


def changes(where: Store | StoreLocation, station: str | None = None, limit: int = 50) -> tuple[StoredAdaptation, ...]:
    """What was changed, suggested and taken back, the newest first, at all stations or at one."""
    with opened_store(where) as store:
        return store.adaptations.page(station, limit=limit)


def undo(where: Store | StoreLocation, id: int, author: str = "", note: str = "") -> StoredAdaptation:
    """Take one change back: the entries that it brought leave the memory banks, those of other changes stay.

    Raises ConflictError where it is not in effect.
    """
    with opened_store(where) as store:
        change = store.adaptations.get(id)
        active, number = _state(store, change.station, change.recipe_hash)
        current = _adaptation(store, active)
        light = change.kind == "transfer" and current is not None and current.changes_light
        if current is None or not (light or any((one == change.number).any() for one in current.origins.values())):
            raise ConflictError(f"change {id} is not in effect at {change.station}: there is nothing to take back")
        left = current.without(change.number)
        without = (replace(left, gain=(1.0, 1.0, 1.0), offset=(0.0, 0.0, 0.0)) if light else left).to_bytes()
        details = {"undone": id, **_marks(active)}
        return store.adaptations.add(
            change.station, change.recipe_hash, number, "undo", without, details, author, note, based_on=_id(active)
        )


def decide(where: Store | StoreLocation, id: int, admitted: bool, author: str = "", note: str = "") -> StoredAdaptation:
    """Admit a suggested change, or refuse it.

    Before one is admitted the canary judges all parts that are known by now. Raises ConflictError where it would let a
    defect pass, or where another change came after it.
    """
    with opened_store(where) as store:
        change = store.adaptations.get(id)
        if admitted and change.state == SUGGESTED:
            now = _adaptation(store, store.adaptations.active(change.station, change.recipe_hash))
            learner = _learner(store, change.recipe_hash, change.station)
            canary = learner.try_out(now, Adaptation.of(store.adaptations.file(id)))
            if not canary.passed:
                raise ConflictError(f"change {id} cannot be admitted: {canary.reason}")
        return store.adaptations.decide(id, admitted, author, note)


def mode(
    where: Store | StoreLocation, station: str, wanted: Mode | None = None, author: str = "", note: str = ""
) -> Mode:
    """A station's self-learning: off, suggest (a person admits each change) or on; `wanted` switches it.

    Raises InputError.
    """
    with opened_store(where) as store:
        if wanted is not None:
            store.adaptations.set_mode(station, wanted, author, note)
        return store.adaptations.mode(station)


def _marks(active: StoredAdaptation | None) -> dict[str, Any]:
    """Up to which inspection, and up to which answer, parts have taught: for the next change."""
    return {} if active is None else {name: active.details[name] for name in MARKS if name in active.details}


def _id(active: StoredAdaptation | None) -> int | None:
    return None if active is None else active.id


def follow(store: Store, stopping: threading.Event) -> None:
    """Let stations learn that are switched to it, whenever enough has come, until `stopping` is set."""
    done: dict[tuple[str, str], Mapping[str, Any]] = {}
    while not stopping.wait(EVERY_S):
        try:
            on = [station for station, mode in store.adaptations.modes().items() if mode != "off"]
            wanted = [(station, recipe) for station in on for recipe in _recipes_of(store, station)]
        except SightlineError as error:
            LOG.error("self-learning: %s", error)
            continue
        for station, recipe in wanted:
            try:
                newest = _parts(store, station, recipe, done.get((station, recipe), {}))
                if len(newest.sure) + len(newest.confirmed) >= ROUND:
                    done[station, recipe] = newest.marks
                    told = learn_once(store, station, recipe, f"station {station}")
                    LOG.info("station %s, recipe %s: %s", station, recipe[:12], told.round.reason)
            except Exception:  # one recipe that cannot learn holds up no other station
                LOG.exception("self-learning of station %s, recipe %s", station, recipe[:12])


def _forgive(
    store: Store, inspection_id: int, view: str, author: str, note: str, box: tuple[int, int, int, int] | None,
    dry_run: bool, progress: Progress,
) -> Harmless:  # fmt: skip
    part = store.inspections.get(inspection_id)
    seen = next((one for one in views_of(store, part) if one.view == view), None)
    if seen is None or seen.hash is None or seen.recipe is None:
        raise NotFoundError(f"inspection {inspection_id}: no picture of a view '{view}' is kept. Look at its views")
    active, number = _state(store, part.station, seen.recipe)
    learner, before = _learner(store, seen.recipe, part.station), _adaptation(store, active)
    found = learner.forgive(before, store.images.path(seen.hash), box, number, progress)
    changed, looked_at = _changed(store, learner, part, seen.recipe, before, found.adaptation)
    change = None
    if found.adaptation is not None and not dry_run:
        details = {**found.to_json(), "inspection": inspection_id, "view": view, "box": box, **_marks(active)}
        change = store.adaptations.add(
            part.station, seen.recipe, number, "harmless", found.adaptation.to_bytes(), details, author, note,
            based_on=_id(active),
        )  # fmt: skip
    return Harmless(found, changed, looked_at, change)


def _recipes_of(store: Store, station: str) -> list[str]:
    """The recipes of the station's newest OK parts."""
    records = store.inspections.page(Filter(station=station, verdicts=(Verdict.OK,)), limit=100)
    found = (str(view.get("recipe_hash")) for one in records for view in one.details.get("views", ()))
    return list(dict.fromkeys(hash for hash in found if hash != "None"))


def _state(store: Store, station: str, recipe_hash: str) -> tuple[StoredAdaptation | None, int]:
    return store.adaptations.active(station, recipe_hash), store.adaptations.next_number(station, recipe_hash)


def _adaptation(store: Store, active: StoredAdaptation | None) -> Adaptation | None:
    return None if active is None else Adaptation.of(store.adaptations.file(active.id))


def _learner(store: Store, recipe_hash: str, station: str) -> Learner:
    product = store.recipes.find(recipe_hash).product
    return Learner(stored_recipe(store, recipe_hash), known_parts(store, product, station))


def stored_recipe(store: Store, recipe_hash: str) -> Recipe:
    """A recipe of the store with its card. Raises NotFoundError, RecipeError."""
    data = store.recipes.file(recipe_hash)
    return Recipe(data, parse_card(OnnxSession(data, 1, optimise=False).metadata, recipe_hash[:12]))


def known_parts(store: Store, product: str, station: str) -> list[KnownPart]:
    """The product's newest labelled parts whose pictures are there; `station` is the place that learns."""
    found: list[KnownPart] = []
    for label, most in ((DEFECTIVE, MAX_DEFECTIVE), (GOOD, MAX_GOLDEN)):
        samples: list[StoredSample] = []
        after = 0
        while page := store.catalogue.page(product, label=label, after=after, limit=500):
            there = [one for one in page if store.images.holds(one.hash, one.media_type)]
            samples, after = (samples + there)[-most:], page[-1].id
        found += [
            KnownPart(f"{one.name} ({one.id})", store.images.path(one.hash), label == DEFECTIVE, one.station == station)
            for one in samples
        ]
    return found


@dataclass(frozen=True, slots=True)
class _Teachers:
    """Pictures, by hash, of OK parts and of parts that people called good, and up to where both were looked at."""

    sure: list[str]
    confirmed: list[str]
    marks: Mapping[str, Any]


def _parts(store: Store, station: str, recipe_hash: str, since: Mapping[str, Any]) -> _Teachers:
    """Who may teach since the marks of the last round."""
    records = store.inspections.page(Filter(station=station, verdicts=(Verdict.OK,)), limit=LOOKED_AT)
    answers = store.reviews.page(state=ANSWERED, limit=LOOKED_AT)
    doubted = {one.inspection_id for one in answers if one.answer != GOOD and one.purpose not in (CHALLENGE, REPEAT)}
    sure = [one for one in records if one.counts and (one.id or 0) > since.get("until", 0) and one.id not in doubted]
    told = _called_good(store, station, answers, since.get("answered", ""))
    pictures = [_pictures(store, group, recipe_hash) for group in (sure, [record for record, _ in told])]
    marks = {
        "until": max((one.id or 0 for one in sure), default=since.get("until", 0)),
        "answered": max((at for _, at in told), default=since.get("answered", "")),
    }
    return _Teachers(pictures[0][:WINDOW], pictures[1][:WINDOW], marks)


def _pictures(store: Store, records: Sequence[Record], recipe_hash: str) -> list[str]:
    found: list[str] = []
    for one in records:
        if len(found) >= WINDOW:
            break
        if one.image_hash is not None:
            views = views_of(store, one)
            found += [view.hash for view in views if view.hash and view.recipe == recipe_hash]
    return found


def _called_good(store: Store, station: str, answers: Sequence[Review], since: str) -> list[tuple[Record, str]]:
    """Parts in REVIEW or NG that people called good and nobody defective, answered after a moment; and when."""
    words: dict[int, set[str]] = {}
    times: dict[int, str] = {}
    trusted: Mapping[str, bool] = _trusted(store)
    for review in answers:
        if review.inspection_id is None or review.answered is None or review.purpose in (CHALLENGE, REPEAT):
            continue
        # Nobody's doubt is passed over; only a trusted reviewer's word makes a part good.
        teaches = review.answer != GOOD or trusted.get(review.author or "", True)
        words.setdefault(review.inspection_id, set()).add((review.answer or "") if teaches else "")
        moment = review.answered.isoformat()
        times[review.inspection_id] = max(moment, times.get(review.inspection_id, ""))
    numbers = [number for number, told in words.items() if told == {GOOD} and times[number] > since]
    found: list[tuple[Record, str]] = []
    for number in sorted(numbers, key=times.__getitem__, reverse=True):
        record = store.inspections.get(number)
        if record.station == station and record.counts and record.verdict is not Verdict.OK:
            found.append((record, times[number]))
    return found[:WINDOW]


def _trusted(store: Store) -> dict[str, bool]:
    """Reviewers who were given challenges or repeats: whether they knew enough, and said the same again."""
    now = datetime.now(UTC)
    right: dict[tuple[str, str], list[bool]] = {}
    for answer in store.review_figures.answers(now - timedelta(days=TRUSTED_DAYS), now + timedelta(minutes=1)):
        if answer.measures and answer.agrees is not None:
            right.setdefault((answer.author, answer.measures), []).append(answer.agrees)
    fine = {who: len(all) < TRUSTED_OF or sum(all) >= TRUSTED_SHARE * len(all) for who, all in right.items()}
    return {name: fine.get((name, CHALLENGE), True) and fine.get((name, REPEAT), True) for name, _ in fine}


def _changed(
    store: Store, learner: Learner, part: Record, recipe: str, before: Adaptation | None, after: Adaptation | None
) -> tuple[tuple[dict[str, Any], ...], int]:
    """Kept parts of the station whose verdict a change would turn, and how many were looked at."""
    if after is None:
        return (), 0
    stopped = (Verdict.NG, Verdict.REVIEW)
    records = store.inspections.page(Filter(station=part.station, verdicts=stopped), limit=LOOKED_AT)
    recent: list[KnownPart] = []
    for one in records:
        if len(recent) < RECENT and one.image_hash is not None:
            pictures = _pictures(store, [one], recipe)
            recent += [KnownPart(f"{one.id}", store.images.path(hash), False) for hash in pictures[:1]]
    old, new = learner.verdicts(before, recent), learner.verdicts(after, recent)
    turned = [name for name in old if old[name] is not new.get(name)]
    return tuple({"inspection": int(name), "before": str(old[name]), "after": str(new[name])} for name in turned), len(
        old
    )
