"""A recipe improved from people's answers: a challenger trained, compared with the champion, and put into shadow."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError, NotFoundError, SettingError
from sightline.core.progress import Progress, of_stage, unwatched
from sightline.core.sample import TEST, Sample
from sightline.operations.learning import stored_recipe
from sightline.operations.opening import author as whoever
from sightline.operations.store import register_recipe
from sightline.store.recipes import StoredRecipe
from sightline.store.reviews import ANSWERED
from sightline.store.store import Store, StoreLocation

if TYPE_CHECKING:
    from sightline.evaluate.comparison import Comparison
    from sightline.improve.promotion import Decision
    from sightline.runtime.recipe import Recipe
    from sightline.train.settings import TrainSettings

REVIEWS = 200  # pictures of answered reviews that both are tried on
AT_ONCE = 500  # reviews read at a time


@dataclass(frozen=True)
class Improved:
    """What was done, step by step. `champion` and all that is about it are None where the product had no recipe.

    `learned` counts the pictures that were labelled anew since the champion's version, `reviews` those of answered
    reviews among the parts compared; `state` is that of the challenger in the store.
    """

    version: str
    champion: str | None
    learned: int
    settings: str
    challenger: str
    test_part: Comparison | None
    reviews: Comparison | None
    decision: Decision | None
    state: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        names = ("version", "champion", "learned", "settings", "challenger", "state")
        more = ("test_part", "reviews", "decision")
        told = {name: None if (one := getattr(self, name)) is None else one.to_json() for name in more}
        return {**{name: getattr(self, name) for name in names}, **told}


def improve(
    location: StoreLocation,
    product: str,
    output: Path,
    effort: str | None = None,
    prices: Sequence[str] = (),
    ahead: int | None = None,
    progress: Progress = unwatched,
) -> Improved:
    """As `improve_in`, in the store that is there, in the name of whoever works here."""
    with Store.open(*location, create=False) as store:
        return improve_in(store, product, output, whoever(), effort, progress, prices=prices, ahead=ahead)


def improve_in(
    store: Store,
    product: str,
    output: Path,
    author: str,
    effort: str | None = None,
    progress: Progress = unwatched,
    reviews: int = REVIEWS,
    prices: Sequence[str] = (),
    ahead: int | None = None,
) -> Improved:
    """Train a challenger on what is labelled now, write it to `output`, compare it and register it.

    It becomes a shadow at most: only a person promotes. `effort` replaces that of the champion's settings, `prices`
    like `stop=400` those of `promotion.PRICES`; within `ahead` parts a change has to be paid back. Raises InputError
    where nothing was labelled since the champion's version, or the product has no test part.
    """
    from sightline import train
    from sightline.data.dataset import STORE, Dataset
    from sightline.evaluate.comparison import compare
    from sightline.evaluate.prices import Prices
    from sightline.improve.promotion import PRICES, decide, judged
    from sightline.runtime.recipe import check_writable

    weighed = Prices.parse(prices, PRICES)

    check_writable(output)
    champion = find_champion(store, product)
    version = store.versions.snapshot(product, author, "taken to improve from").name
    samples = tuple(store.samples(version))
    learned = _labelled_since(store, champion, version, samples)
    parts = Dataset(version, tuple(one for one in samples if one.split), STORE)
    if not parts.test.samples:
        raise InputError(f"{product}: there is no test part to compare on. Give samples the split test first")
    settings, whose = _settings(champion, product, effort)
    challenger = train(parts.train, settings, progress=progress)
    challenger.save(output)
    compared: list[Comparison | None] = [None, None]
    decision = None
    if champion is not None:
        before = stored_recipe(store, champion.hash)
        report = of_stage(progress, "inspecting")
        answered = _reviewed(store, samples, (before, challenger), reviews)
        # Without a part that is new to both the rule says so; it is no reason to lose the training.
        for place, chosen in enumerate((parts.test.samples, answered)):
            if new := _new(chosen, (before, challenger)):
                compared[place] = compare(before, challenger, new, progress=report)
        names = {one.path.stem: one.name for one in samples}
        parts_judged = [part for found in compared if found is not None for part in judged(found, names)]
        decision = decide(parts_judged, weighed, ahead)
        _ask_again(store, product, [one for one in samples if one.name in decision.lost], author)
    stored = register_recipe(store, output, version, author, None if champion is None else champion.hash)
    if decision is not None and decision.answer == "promote to shadow":
        stored = store.recipes.set_state(stored.hash, "shadow", author, "; ".join(decision.reasons))
    hash = None if champion is None else champion.hash
    return Improved(version, hash, learned, whose, stored.hash, compared[0], compared[1], decision, stored.state)


def _ask_again(store: Store, product: str, lost: Sequence[Sample], author: str) -> None:
    """Have people look once more at parts that speak against a challenger: one wrong answer would do that, too."""
    asked = {one.sample_id for one in store.reviews.page(limit=AT_ONCE)}
    for number in [store.catalogue.numbers(product, one.path.stem)[0] for one in lost]:
        if number not in asked:
            reason = "called defective, and a new recipe finds it OK: is that right?"
            store.reviews.add(author, reason, sample_id=number, priority=1.0)


def find_champion(store: Store, product: str) -> StoredRecipe | None:
    """The newest promoted recipe of a product; else its newest shadow or candidate; else None."""
    found = store.recipes.page(product, "promoted", limit=1)
    if found:
        return found[0]
    waiting = [one for state in ("shadow", "candidate") for one in store.recipes.page(product, state, limit=1)]
    return max(waiting, key=lambda one: one.id, default=None)


def _labelled_since(store: Store, champion: StoredRecipe | None, version: str, samples: tuple[Sample, ...]) -> int:
    """How many labelled pictures are new, or labelled otherwise, since the champion's version. Raises InputError."""
    labelled = {one.name for one in samples if one.defective is not None}
    if champion is None or champion.version is None:
        return len(labelled)
    diff = store.versions.diff(champion.version, version)
    found = len(labelled & {*diff.added, *diff.relabelled})
    if not found:
        raise InputError(
            f"nothing was labelled since {champion.version}, which {champion.name} ({champion.hash[:12]}) has "
            "learned from. Answer reviews or label pictures first"
        )
    return found


def _settings(champion: StoredRecipe | None, product: str, effort: str | None) -> tuple[TrainSettings, str]:
    """The champion's settings where they still are settings, else the defaults; and which of the two."""
    from sightline.train.settings import TrainSettings

    more: dict[str, object] = {"product": product, **({"effort": effort} if effort else {})}
    told = {} if champion is None else champion.card.get("provenance", {}).get("settings", {})
    # A card writes lists as text, in parentheses.
    kept = {name: literal_eval(one) if str(one).startswith("(") else one for name, one in told.items()}
    if kept:
        try:
            return TrainSettings.parse({**kept, **more}), "the champion's"
        except SettingError:
            pass  # of an older release; a wrong effort is told below
    return TrainSettings.parse(more), "defaults"


def _new(samples: tuple[Sample, ...], recipes: tuple[Recipe, ...]) -> tuple[Sample, ...]:
    """The labelled samples that no recipe has learned. A card lists the first digits of hashes, as a path has them."""
    learned = {digits for recipe in recipes for digits in recipe.card.trained_on}
    length = len(next(iter(learned), ""))
    return tuple(one for one in samples if one.defective is not None and one.path.stem[:length] not in learned)


def _reviewed(store: Store, samples: tuple[Sample, ...], recipes: tuple[Recipe, ...], most: int) -> tuple[Sample, ...]:
    """Pictures of the newest answered reviews, outside the test part, whose label is known; the newest first."""
    known = {one.path.stem: one for one in _new(samples, recipes) if one.split != TEST}
    found: dict[str, Sample] = {}
    before = None
    while len(found) < most and (page := store.reviews.page(ANSWERED, before=before, limit=AT_ONCE)):
        before = page[-1].id
        for review in page:
            try:
                if review.sample_id is not None:
                    hash: str | None = store.catalogue.get(review.sample_id).hash
                else:
                    hash = store.inspections.get(review.inspection_id or 0).image_hash
            except NotFoundError:
                continue  # removed since
            if hash in known and len(found) < most:
                found[hash] = known[hash]
    return tuple(found.values())
