"""Commands about many stations: tokens by which they send to this site, and computers that are replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import console, text_fleet
from sightline.cli.app import app
from sightline.cli.options import Json
from sightline.cli.store import Database

fleet = typer.Typer(help="Many stations at one site: tokens, how they are, replaced computers.", no_args_is_help=True)
app.add_typer(fleet, name="fleet")

Station = Annotated[str, typer.Argument(help="Name of the station, as in its file.", show_default=False)]
Author = Annotated[str, typer.Option(help="Who decides.")]


@fleet.command()
def stations(
    hours: Annotated[float, typer.Option(help="So many hours back.")] = 24.0,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Show how all stations of this site are. Example: sightline fleet stations --hours 8"""
    from sightline.operations import fleet

    found = fleet.stations((db, None), hours)
    console.say_json(text_fleet.stations_json(found)) if as_json else console.say(text_fleet.stations(found))


@fleet.command()
def token(
    station: Station,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for the token; else it is shown.")] = None,
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Make a token by which one station sends to this site. Example: sightline fleet token press-3 -o press-3.token"""
    from sightline.operations import fleet

    made = fleet.token((db, None), station, output, author)
    text = f"the token of station {station} is in {output}" if output else str(made["token"])
    console.say_json(made) if as_json else console.say(text)


@fleet.command()
def revoke(station: Station, author: Author = "", db: Database = None, as_json: Json = False) -> None:
    """Make all tokens of a station worthless. Example: sightline fleet revoke press-3"""
    from sightline.operations import fleet

    count = fleet.revoke((db, None), station, author)
    text = f"{count} tokens of station {station} are worthless now"
    console.say_json({"revoked": count}) if as_json else console.say(text)


@fleet.command()
def replace(
    station: Station,
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit.")] = "",
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Take records of the computer that replaces a station's. Example: sightline fleet replace press-3"""
    from sightline.operations import fleet

    found = fleet.replace((db, None), station, reason, author)
    text = f"the next computer that sends as station {station} is taken for it"
    console.say_json({"station": found.station}) if as_json else console.say(text)
