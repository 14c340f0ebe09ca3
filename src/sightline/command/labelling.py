"""Labels of a store: how people agree, who labels what a second time, what a recipe suggests, and the defect book."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError
from sightline.data.suggestion import suggest
from sightline.evaluate.agreement import Agreement, agreement, independent
from sightline.runtime.inspector import Inspector
from sightline.store.book import Page
from sightline.store.shapes import region_to_json
from sightline.store.store import Store

SHOWN = 20


def agree(database: str | None, product: str) -> Agreement:
    """How the annotators of a product agree. Raises InputError where nothing was labelled twice."""
    with Store.open(database, create=False) as store:
        found = agreement(independent(store.annotations.words(product)))
    if not found.parts:
        raise InputError(
            f"{product}: no sample was labelled by two people, the second one blind. "
            "Draw some for a second label: sightline labels blind"
        )
    return found


def describe(found: Agreement) -> str:
    """Agreement for people: kappa with its interval, by question and pair, then what to talk about."""
    lines = [f"{found.parts} samples were labelled by two people or more."]
    for question, kappa in found.overall.items():
        lines.append(f"{question}: kappa {_interval(kappa.to_json())} over all annotators ({kappa.of} samples)")
    for pair in found.pairs:
        lines.append(
            f"  {pair.first} and {pair.second}, {pair.question}: kappa {_interval(pair.kappa.to_json())}, "
            f"agreed {pair.agreed.count} of {pair.agreed.of}"
        )
    for one in found.disagreements[:SHOWN]:
        said = "; ".join(f"{author}: {what}" for author, what in one.words)
        lines.append(f"sample {one.sample_id}: {said}")
    return "\n".join(lines)


def _interval(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "not defined (all say the same)"
    bounds = "" if figure["lower"] is None else f" ({figure['lower']:.2f} to {figure['upper']:.2f})"
    return f"{figure['value']:.2f}{bounds}"


def blind(database: str | None, product: str, author: str, count: int) -> list[dict[str, Any]]:
    """Samples that `author` shall label without seeing the first label."""
    with Store.open(database, create=False) as store:
        numbers = store.annotations.for_second_label(product, author, count)
        return [{"sample_id": number, "author": author} for number in numbers]


def suggestions(database: str | None, product: str, recipe: Path, threads: int) -> Iterator[dict[str, Any]]:
    """What a recipe suggests for every sample of a product."""
    inspector = Inspector(recipe, threads)
    with Store.open(database, create=False) as store:
        for sample in store.samples(product):
            word = suggest(inspector.inspect(sample.path), inspector.digest)
            yield {
                "image": sample.path.name,
                "sample_ids": store.catalogue.numbers(product, sample.path.stem),
                "label": word.label,
                "types": list(word.types),
                "regions": [region_to_json(region) for region in word.regions],
                "suggested_by": inspector.digest,
            }


def write_page(database: str | None, product: str, name: str, author: str, **given: Any) -> Page:
    """Write a page of the defect book; of one that is there already, what is not `given` (None) stays."""
    with Store.open(database, create=False) as store:
        there = next((page for page in store.book.pages(product) if page.name == name), None)
        told = {field: value for field, value in given.items() if value is not None}
        return store.book.write(replace(there or Page(product=product, name=name), **told), author)


def book(database: str | None, product: str) -> tuple[Page, ...]:
    """The defect book of a product."""
    with Store.open(database, create=False) as store:
        return store.book.pages(product)


def describe_page(page: Page) -> str:
    """A page in a few lines."""
    limits = [f"counts from {page.min_mm:g} mm"] if page.min_mm is not None else []
    limits += [f"always from {page.max_mm:g} mm"] if page.max_mm is not None else []
    head = f"{page.name}{': ' + ', '.join(limits) if limits else ''} ({page.author})"
    return f"{head}\n  {page.guideline}" if page.guideline else head
