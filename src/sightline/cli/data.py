"""Commands about datasets: checked, measured for what they lack, thinned out to the images that say most."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.app import app
from sightline.cli.options import Data, Json, Threads
from sightline.command import console

data_app = typer.Typer(help="Datasets: what is wrong with them, and what they lack.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Backbone = Annotated[str, typer.Option(help="What images are compared by: lite0, dinov2-s, ..., or none.")]
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", help="Compare by this recipe's embedding instead.", show_default=False)
]
Keys = Annotated[list[str] | None, typer.Option(help="Key of a finding; may be given several times.")]


@data_app.command()
def check(
    data: Data,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    apply: Keys = None,
    dismiss: Keys = None,
    reopen: Keys = None,
    note: Annotated[str, typer.Option(help="Why, remembered with what is applied or dismissed.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Table with what is applied.")] = None,
    findings: Annotated[Path | None, typer.Option(help="File that remembers decisions.")] = None,
    backbone: Backbone = "lite0",
    recipe: RecipeOption = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Find what is wrong with a dataset. Example: sightline data check photos/cookies --report check.html"""
    from sightline.command import curating

    decide = {"apply": apply or [], "dismiss": dismiss or [], "reopen": reopen or []}
    places = {"output": output, "findings": findings}
    looks = {"backbone": backbone, "recipe": recipe, "threads": threads}
    checked = curating.check(data, report, decide, note, places, looks, quiet=as_json)
    console.say_json(checked.to_json()) if as_json else console.say(curating.describe(checked))
    if report is not None:
        console.complain(f"Report: {report.resolve()}")


@data_app.command()
def cover(
    data: Data,
    backbone: Backbone = "lite0",
    recipe: RecipeOption = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """What a dataset shows, and what to photograph next. Example: sightline data cover photos/cookies"""
    from sightline.command import curating

    looks = {"backbone": backbone, "recipe": recipe, "threads": threads}
    coverage = curating.cover(data, looks, quiet=as_json)
    console.say_json(coverage.to_json()) if as_json else console.say(curating.describe_coverage(coverage))


@data_app.command()
def pick(
    data: Data,
    count: Annotated[int, typer.Option("--number", "-n", min=1, help="Images to choose.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV table to write.", show_default=False)],
    start: Annotated[Path | None, typer.Option(help="Table of images that are chosen already.")] = None,
    backbone: Backbone = "lite0",
    recipe: RecipeOption = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """The N images that differ most. Example: sightline data pick photos/cookies -n 20 -o list.csv"""
    from sightline.command import curating

    looks = {"backbone": backbone, "recipe": recipe, "threads": threads}
    picked, names = curating.pick(data, count, output, start, looks, quiet=as_json)
    figures = {"images": names, "distances": picked.distances, "radius": picked.radius, "table": str(output)}
    console.say_json(figures) if as_json else console.say(curating.describe_pick(picked, names, output))
