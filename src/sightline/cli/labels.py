"""Commands about labels: agreement, second labels, suggestions, the defect book."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from sightline.cli import console, text_data
from sightline.cli.app import app
from sightline.cli.options import Json, RecipeFile, Threads

labels = typer.Typer(help="Labels in the store: agreement, suggestions, the defect book.", no_args_is_help=True)
app.add_typer(labels, name="labels")

Database = Annotated[
    str | None,
    typer.Option("--db", help="SQLite file or postgresql:// address; default: SIGHTLINE_DB or sightline.db."),
]
Product = Annotated[str, typer.Argument(help="Product.", show_default=False)]
Author = Annotated[str, typer.Option(help="Annotator.", show_default=False)]


@labels.command()
def agree(product: Product, db: Database = None, as_json: Json = False) -> None:
    """Agreement (kappa) of annotators, and where they differ. Example: sightline labels agree cookies"""
    from sightline.operations import labels

    found = labels.agree(db, product)
    console.say_json(found.to_json()) if as_json else console.say(text_data.agree(found))


@labels.command()
def blind(
    product: Product,
    author: Author,
    count: Annotated[int, typer.Option("-n", min=1, help="Number of samples.")] = 50,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Pick samples for a second, blind label. Example: sightline labels blind cookies --author ann -n 50"""
    from sightline.operations import labels

    chosen = labels.blind(db, product, author, count)
    numbers = "\n".join(str(one["sample_id"]) for one in chosen)
    console.say_json(chosen) if as_json else console.say(numbers or f"{author} has seen everything that is labelled")


@labels.command()
def suggest(
    recipe: RecipeFile, product: Product, db: Database = None, threads: Threads = 2, as_json: Json = False
) -> None:
    """List the labels a recipe would give. Example: sightline labels suggest cookies.onnx cookies"""
    from sightline.operations import labels

    for one in labels.suggest(db, product, recipe, threads=threads):
        text = f"{one['image']}: {one['label']} {', '.join(one['types'])} ({len(one['regions'])} marks)"
        console.say_json(one) if as_json else console.say(text)


@labels.command()
def book(
    product: Product,
    name: Annotated[str | None, typer.Argument(help="Defect type to describe; without it, all are shown.")] = None,
    guideline: Annotated[str | None, typer.Option(help="What it is, and what it is not.")] = None,
    min_mm: Annotated[float | None, typer.Option(help="Defects smaller than this do not count.")] = None,
    max_mm: Annotated[float | None, typer.Option(help="Defects larger than this always count.")] = None,
    author: Annotated[str, typer.Option(help="Author.")] = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """The defect book. Example: sightline labels book cookies crack --guideline "Through the edge." --author ann"""
    from sightline.operations import labels

    given = {"guideline": guideline, "min_mm": min_mm, "max_mm": max_mm}
    for page in labels.book(db, product, name, author, **given):
        row = {**asdict(page), "updated": str(page.updated)}
        console.say_json(row) if as_json else console.say(text_data.book(page))
