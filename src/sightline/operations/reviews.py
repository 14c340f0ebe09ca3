"""Reviews at work: what a person sees of a part, what an answer says of its pictures, and how reviewers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sightline.core.errors import InputError, NotFoundError
from sightline.core.result import SEVERITY, Verdict
from sightline.evaluate.statistics.intervals import Rate, exact_rate
from sightline.operations.labels import check_marks
from sightline.store.annotations import DEFECTIVE, Annotation
from sightline.store.inspections import Record
from sightline.store.recipes import StoredRecipe
from sightline.store.retention import Origin, collect
from sightline.store.review_figures import Answered, Waiting
from sightline.store.review_queue import CHALLENGE, REPEAT, Mixed
from sightline.store.reviews import SECOND, Answer, Review
from sightline.store.samples import StoredSample
from sightline.store.store import Store

VIEW = "view"  # what the only view of a part is called where nothing says otherwise
MISSING = "no picture of this part is kept any more. Skip it; nobody is asked about it again"
PAUSE = timedelta(minutes=2)  # longer ones between two answers are no work
MIN_GAPS = 3  # below, a pace would say nothing


@dataclass(frozen=True, slots=True)
class View:
    """One view of a part: what was found in it, and its picture, None where it is not kept.

    `hash` names the picture, `sample` is its row, where it has one, `recipe` the hash of what judged it.
    """

    view: str
    verdict: Verdict | None
    score: float | None
    reason: str
    defects: tuple[Mapping[str, Any], ...]
    hash: str | None
    recipe: str | None
    sample: StoredSample | None


@dataclass(frozen=True, slots=True)
class ReviewedPart:
    """A part as a reviewer sees it; `part` is None where a sample is asked about, which no station judged."""

    review: Review
    part: Record | None
    product: str | None
    recipe: StoredRecipe | None
    views: tuple[View, ...]
    types: tuple[str, ...]
    good: StoredSample | None
    similar: tuple[tuple[Review, Record], ...]

    @property
    def missing(self) -> str:
        """What to do where no picture is there to look at; "" where there is one."""
        return "" if any(view.hash for view in self.views) else MISSING


def reviewed_part(store: Store, number: int) -> ReviewedPart:
    """What there is to see of the part of a review. Raises NotFoundError."""
    review = store.reviews.get(number)
    part = None if review.inspection_id is None else store.inspections.get(review.inspection_id)
    views = views_of(store, part, review.sample_id)
    sample = next((view.sample for view in views if view.sample is not None), None)
    product = part.product if part is not None else None if sample is None else sample.product
    recipe = _recipe(store, next((view.recipe for view in views if view.recipe), None))
    types = tuple(recipe.card.get("types", ())) if recipe is not None else ()
    if product is not None:
        types = tuple(dict.fromkeys((*types, *(page.name for page in store.book.pages(product)))))
    good = None if product is None else store.parts.good_like(product, sample)
    return ReviewedPart(review, part, product, recipe, views, types, good, store.reviews.similar(part) if part else ())


def views_of(store: Store, part: Record | None, sample_id: int | None = None) -> tuple[View, ...]:
    """The views of a part, or the one of a sample, with their pictures, as far as these are kept."""
    if part is None:
        sample = None if sample_id is None else store.catalogue.get(sample_id)
        there = sample is not None and sample.deleted_at is None and store.images.holds(sample.hash, sample.media_type)
        stored = sample if there else None
        return (View(VIEW, None, None, "", (), None if stored is None else stored.hash, None, stored),)
    told = part.details.get("views") or [
        {"view": VIEW, "verdict": part.verdict, "score": part.score, "defects": part.details.get("defects", ())}
    ]
    names = [f"{part.station}/{part.key}-{view['view']}.png" for view in told]
    samples = store.parts.pictures(part.product or "unknown", names, part.image_hash)
    pictured = [one for one in samples if store.images.holds(one.hash, one.media_type)]
    by_view = {str(one.details.get("view", VIEW)): one for one in pictured}
    return tuple(_view(store, part, view, by_view.get(str(view["view"])), len(told) == 1, by_view) for view in told)


def _view(
    store: Store, part: Record, told: Mapping[str, Any], sample: StoredSample | None, only: bool,
    samples: Mapping[str, StoredSample],
) -> View:  # fmt: skip
    digest = None if sample is None else sample.hash
    if sample is None and only:  # whatever picture there is shows this view
        sample = next(iter(samples.values()), None)
        digest = part.image_hash if sample is None else sample.hash
        if sample is None and digest is not None and not store.images.holds(digest):
            digest = None
    verdict = told.get("verdict")
    return View(
        view=str(told["view"]),
        verdict=None if verdict is None else Verdict(verdict),
        score=told.get("score"),
        reason=str(told.get("reason") or ""),
        defects=tuple(told.get("defects") or ()),
        hash=digest,
        recipe=told.get("recipe_hash") or part.recipe_hash,
        sample=sample,
    )


def answer(store: Store, number: int, author: str, given: Answer, views: Sequence[str], mixed: Mixed) -> Review:
    """Answer a review, and label the part's pictures so that the next training learns it.

    `views` show the defect; by default those that have marks, else the one that was judged worst. Answers to repeats
    and challenges measure the reviewer and label nothing; a second opinion is a blind word. Raises InputError for marks
    that do not fit, ConflictError where the review is another one's or answered.
    """
    review = store.reviews.get(number)
    annotations: list[tuple[int, Annotation]] = []
    if review.purpose not in {REPEAT, CHALLENGE}:
        part = None if review.inspection_id is None else store.inspections.get(review.inspection_id)
        there = views_of(store, part, review.sample_id)
        for view in _meant(there, given, views):
            sample = view.sample or collected(store, part, view)
            if sample is not None:
                annotations.append((sample.id, _annotation(review, view, sample, author, given)))
        if given.marks and not annotations:
            raise InputError(f"review {number}: {MISSING}, or answer without marks")
    return store.reviews.answer(number, author, given, annotations, mixed)


def skip(store: Store, number: int, author: str, note: str) -> Review:
    """Leave a review to others; where there is no picture to look at, nobody is asked any more."""
    review = store.reviews.get(number)
    part = None if review.inspection_id is None else store.inspections.get(review.inspection_id)
    gone = not any(view.hash for view in views_of(store, part, review.sample_id))
    return store.reviews.skip(number, author, note, closed=gone)


def _meant(there: Sequence[View], given: Answer, views: Sequence[str]) -> list[View]:
    """The views that an answer is about. Raises InputError for a name that is none."""
    names = {view.view for view in there}
    only = there[0].view if len(there) == 1 else ""
    marked = [view or only for view, _ in given.marks]
    if strange := [name for name in (*views, *marked) if name not in names]:
        raise InputError(f"'{strange[0]}' is not a view of this part. Name one of: {', '.join(sorted(names))}")
    if given.label != DEFECTIVE:
        return list(there)
    if chosen := {*views, *marked}:
        return [view for view in there if view.view in chosen]
    return [worst(there)]


def worst(views: Sequence[View]) -> View:
    """The view of a part that was judged worst."""
    return max(views, key=lambda view: (SEVERITY[view.verdict or Verdict.OK], view.score or 0.0))


def _annotation(review: Review, view: View, sample: StoredSample, author: str, given: Answer) -> Annotation:
    annotation = Annotation(
        label=given.label,
        author=author,
        types=given.types,
        regions=tuple(region for name, region in given.marks if name in {"", view.view}),
        grade=given.grade,
        note=given.note,
        blind=review.purpose == SECOND,
    )
    check_marks(sample, annotation)
    # What is marked has a type, too, whether the buttons named it or not.
    types = (*annotation.types, *(region.type for region in annotation.regions))
    return replace(annotation, types=tuple(dict.fromkeys(types)))


def collected(store: Store, part: Record | None, view: View) -> StoredSample | None:
    """A sample of a picture that is kept and has no row yet, so that it stays; None where there is no picture."""
    if part is None or view.hash is None:
        return None
    image = store.images.put(store.images.read(view.hash), f"inspection {part.id}, view {view.view}")
    origin = Origin(
        product=part.product or "unknown",
        name=f"{part.station}/{part.key or f'inspection-{part.id}'}-{view.view}.png",
        reason="review",
        verdict=str(part.verdict),
        station=part.station,
        line=part.line,
        lot=part.lot,
        serial=part.serial,
        recipe_hash=view.recipe,
        triggered=part.triggered,
        details={"view": view.view, "part": part.key or ""},
    )
    collect(store.database, image, origin)
    return next(iter(store.parts.pictures(origin.product, [origin.name], image.hash)), None)


def picture_of(store: Store, part: Record, view: str) -> tuple[str, str]:
    """(recipe's hash, picture's hash) of a view of an inspection. Raises NotFoundError where one is not there."""
    found = next((one for one in views_of(store, part) if one.view == view), None)
    if found is None or found.hash is None:
        raise NotFoundError(f"inspection {part.id}: no picture of a view '{view}' is kept. Look at its views")
    recipe = _recipe(store, found.recipe)
    if recipe is None:
        raise NotFoundError(f"inspection {part.id}: its recipe is not in the store. Add it: sightline store register")
    return recipe.hash, found.hash


def _recipe(store: Store, hash: str | None) -> StoredRecipe | None:
    try:
        return None if hash is None else store.recipes.find(hash)
    except NotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One reviewer's answers of a time: how many, how many a minute while at work, and the two measures."""

    name: str
    answered: int
    parts_per_minute: float | None
    last: datetime
    challenges: Rate
    repeats: Rate


@dataclass(frozen=True, slots=True)
class Summary:
    """What waits now, and who answered what in a time."""

    waiting: Waiting
    answered: int
    reviewers: tuple[Reviewer, ...]


def summary(store: Store, since: datetime, until: datetime) -> Summary:
    """What waits, and the answers of since <= answered < until by reviewer, by name."""
    answers = store.review_figures.answers(since, until)
    by_name: dict[str, list[Answered]] = {}
    for one in answers:
        by_name.setdefault(one.author, []).append(one)
    reviewers = tuple(_reviewer(name, mine) for name, mine in sorted(by_name.items()))
    return Summary(store.review_figures.waiting(), len(answers), reviewers)


def _reviewer(name: str, mine: Sequence[Answered]) -> Reviewer:
    gaps = [gap for first, then in pairwise(mine) if timedelta() < (gap := then.at - first.at) <= PAUSE]
    worked = sum(gaps, timedelta()).total_seconds()
    pace = 60 * len(gaps) / worked if len(gaps) >= MIN_GAPS else None
    return Reviewer(name, len(mine), pace, mine[-1].at, _agreement(mine, CHALLENGE), _agreement(mine, REPEAT))


def _agreement(mine: Sequence[Answered], measures: str) -> Rate:
    told = [one.agrees for one in mine if one.measures == measures and one.agrees is not None]
    return exact_rate(sum(told), len(told))
