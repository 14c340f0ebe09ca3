"""`sightline plan`: what so many lines need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import console, text_fleet
from sightline.cli.app import app
from sightline.cli.options import Json


@app.command()
def plan(
    lines: Annotated[int, typer.Option(help="Lines with one station each.")],
    takt: Annotated[float, typer.Option(help="Seconds from one part to the next.")],
    hours: Annotated[float, typer.Option(help="Hours of production a day.")] = 16.0,
    days: Annotated[float, typer.Option(help="Days of production a year.")] = 250.0,
    ng: Annotated[float, typer.Option(help="Share of NG parts, 0 to 1; their pictures are kept.")] = 0.02,
    review: Annotated[float, typer.Option(help="Share of parts for REVIEW, 0 to 1.")] = 0.02,
    picture_mb: Annotated[float, typer.Option(help="MB of a picture.")] = 1.0,
    offline_days: Annotated[float, typer.Option(help="Days without network that stations have to bridge.")] = 2.0,
    measure: Annotated[bool, typer.Option("--measure", help="Measure the server's unit costs here first.")] = False,
    recipe: Annotated[Path | None, typer.Option(help="Measure a picture's processor time with this recipe.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a plant needs, and what that rests on. Example: sightline plan --lines 100 --takt 0.5"""
    from sightline.operations import planning

    asked = planning.Asked(lines, takt, hours, days, ng, review, picture_mb, offline_days)
    found = planning.plan(asked, measure=measure, recipe=recipe)
    console.say_json(found.to_json()) if as_json else console.say(text_fleet.plan(found))
