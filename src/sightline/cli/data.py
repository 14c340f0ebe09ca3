"""Commands about datasets: checked, measured for what they lack, thinned out to the images that say most."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import console, text_data
from sightline.cli.app import app
from sightline.cli.options import Data, Json, Outside, Report, Threads, ends_in
from sightline.core.progress import progress

data_app = typer.Typer(help="Datasets: what is wrong with them, and what they lack.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Backbone = Annotated[str, typer.Option(help="What images are compared by: lite0, dinov2-s, ..., or none.")]
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", help="Compare by this recipe's embedding instead.", show_default=False)
]
Keys = Annotated[list[str] | None, typer.Option(help="Key of a finding; may be repeated.")]


@data_app.command()
def check(
    data: Data,
    report: Report = None,
    apply: Keys = None,
    dismiss: Keys = None,
    reopen: Keys = None,
    note: Annotated[str, typer.Option(help="Reason, stored with what is applied or dismissed.")] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV table with corrections applied.", callback=ends_in(".csv")),
    ] = None,
    findings: Annotated[Path | None, typer.Option(help="File to store decisions in.")] = None,
    backbone: Backbone = "lite0",
    recipe: RecipeOption = None,
    threads: Threads = 2,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Find what is wrong with a dataset. Example: sightline data check photos/cookies --report check.html"""
    from sightline.operations import datasets

    looks = datasets.Looks(backbone, recipe, threads, outside)
    decide = datasets.Decide(apply or (), dismiss or (), reopen or (), note)
    tell = console.aside(as_json)
    with progress(as_json) as bar:
        checked = datasets.check(data, looks, decide, report, output, findings, progress=bar, tell=tell)
    console.say_json(checked.to_json()) if as_json else console.say(text_data.check(checked))
    console.name_report(report)


@data_app.command()
def cover(
    data: Data,
    backbone: Backbone = "lite0",
    recipe: RecipeOption = None,
    threads: Threads = 2,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Show what a dataset covers and what to photograph next. Example: sightline data cover photos/cookies"""
    from sightline.operations import datasets

    looks = datasets.Looks(backbone, recipe, threads, outside)
    with progress(as_json) as bar:
        coverage = datasets.cover(data, looks, progress=bar, tell=console.aside(as_json))
    console.say_json(coverage.to_json()) if as_json else console.say(text_data.cover(coverage))


@data_app.command()
def pick(
    data: Data,
    count: Annotated[int, typer.Option("--number", "-n", min=1, help="Images to pick.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="CSV table to write.", show_default=False, callback=ends_in(".csv")),
    ],
    start: Annotated[Path | None, typer.Option(help="Table of images already picked.")] = None,
    backbone: Backbone = "lite0",
    recipe: RecipeOption = None,
    threads: Threads = 2,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Pick the N images that differ most. Example: sightline data pick photos/cookies -n 20 -o list.csv"""
    from sightline.operations import datasets

    looks = datasets.Looks(backbone, recipe, threads, outside)
    with progress(as_json) as bar:
        found = datasets.pick(data, count, output, looks, start, progress=bar, tell=console.aside(as_json))
    console.say_json(found) if as_json else console.say(text_data.pick(found))
