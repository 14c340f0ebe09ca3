"""Labels of a store: how people agree, who labels what a second time, what a recipe suggests, and the defect book."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError
from sightline.core.region import Runs
from sightline.data.suggestion import suggest as suggest_label
from sightline.evaluate.metrics.agreement import Agreement, agreement, independent
from sightline.runtime.inspector import Inspector
from sightline.store.annotations import Annotation, region_to_json
from sightline.store.book import Page
from sightline.store.samples import StoredSample
from sightline.store.store import Store


def agree(database: str | None, product: str) -> Agreement:
    """How the annotators of a product agree. Raises InputError where nothing was labelled twice."""
    with Store.open(database, create=False) as store:
        found = agreement_in(store, product)
    if not found.parts:
        raise InputError(
            f"{product}: no sample was labelled by two people, the second one blind. "
            "Draw some for a second label: sightline labels blind"
        )
    return found


def agreement_in(store: Store, product: str) -> Agreement:
    """The same of an open store; of no parts where nothing was labelled twice."""
    return agreement(independent(store.annotations.by_sample(product)))


def blind(database: str | None, product: str, author: str, count: int) -> list[dict[str, Any]]:
    """Samples that `author` shall label without seeing the first label."""
    with Store.open(database, create=False) as store:
        numbers = store.annotations.for_second_label(product, author, count)
        return [{"sample_id": number, "author": author} for number in numbers]


def suggest(database: str | None, product: str, recipe: Path, *, threads: int = 2) -> Iterator[dict[str, Any]]:
    """What a recipe suggests for every sample of a product, each as soon as it is there."""
    inspector = Inspector(recipe, threads)
    with Store.open(database, create=False) as store:
        for sample in store.samples(product):
            suggestion = suggest_label(inspector.inspect(sample.path), inspector.digest)
            yield {
                "image": sample.path.name,
                "sample_ids": store.catalogue.numbers(product, sample.path.stem),
                "label": suggestion.label,
                "types": list(suggestion.types),
                "regions": [region_to_json(region) for region in suggestion.regions],
                "suggested_by": inspector.digest,
            }


def annotate(store: Store, sample_id: int, annotation: Annotation, after: int | None = None) -> Annotation:
    """Keep what somebody says of a sample, once its marks are found to lie in the image. `after` as `Annotations.add`.

    Raises InputError, NotFoundError, ConflictError.
    """
    check_marks(store.catalogue.get(sample_id), annotation)
    return store.annotations.add(sample_id, annotation, after)


def check_marks(sample: StoredSample, annotation: Annotation) -> None:
    """Raises InputError where a mark does not lie in the image."""
    for region in annotation.regions:
        shape = region.shape
        if isinstance(shape, Runs):
            fits = (shape.height, shape.width) == (sample.height, sample.width)
        else:
            x, y, wide, high = shape.box
            slack = max(sample.width, sample.height)  # a mark may reach over the edge, not lie beside the image
            fits = -slack <= x < sample.width and -slack <= y < sample.height and x + wide > 0 and y + high > 0
            fits = fits and x + wide <= 2 * slack and y + high <= 2 * slack
        if not fits:
            size = f"{sample.width} x {sample.height} px"
            raise InputError(f"a mark of '{region.type}' does not lie in the image of {size}. Draw it again")


def book(
    database: str | None, product: str, name: str | None = None, author: str = "", **given: Any
) -> tuple[Page, ...]:
    """The defect book of a product, after the page `name` is written; of one that is there, what is None stays."""
    with Store.open(database, create=False) as store:
        if name is not None:
            there = next((page for page in store.book.pages(product) if page.name == name), None)
            told = {field: value for field, value in given.items() if value is not None}
            store.book.write(replace(there or Page(product=product, name=name), **told), author)
        return store.book.pages(product)
