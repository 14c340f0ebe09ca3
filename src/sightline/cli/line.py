"""Commands of the line: stations, a simulated line, drift, signed recipes and calibration."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.cli import console, text_line
from sightline.cli.app import app
from sightline.cli.options import Json, RecipeFile
from sightline.cli.store import Database, Images

if TYPE_CHECKING:
    from sightline.line.settings import StationSettings

StationFiles = Annotated[list[Path], typer.Argument(help="Stations' settings, TOML.", show_default=False)]
Squares = Annotated[str, typer.Option(help="Squares of the board, columns x rows.")]


@app.command()
def run(
    stations: StationFiles,
    check: Annotated[bool, typer.Option("--check", help="Check settings, recipes and files, then exit.")] = False,
    nodeset: Annotated[Path | None, typer.Option(help="Write the OPC UA nodes to this file and exit.")] = None,
    as_json: Json = False,
) -> None:
    """Run stations until Ctrl-C: camera, verdict, PLC. Example: sightline run station.toml"""
    from sightline.operations import line

    def name(settings: StationSettings) -> None:
        text = text_line.station_json(settings) if as_json else text_line.station(settings)
        console.say(text) if check else console.complain(text)

    if not check and nodeset is None:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if not line.run(stations, check=check, nodeset=nodeset, found=name):
        raise typer.Exit(1)


@app.command()
def simulate(
    recipe: Annotated[Path | None, typer.Option(help="Recipe file; default: one of a sample product.")] = None,
    parts: Annotated[Path | None, typer.Option(help="Folder of images to feed as parts.")] = None,
    product: Annotated[str, typer.Option(help="Sample product: cap or board.")] = "cap",
    folder: Annotated[Path, typer.Option(help="Working folder.")] = Path("simulation"),
    stations: Annotated[int, typer.Option(min=1, max=16, help="Number of stations.")] = 1,
    per_second: Annotated[float, typer.Option(min=0.1, max=200, help="Parts per second per station.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long to feed parts.")] = 20.0,
    deadline_ms: Annotated[float, typer.Option(min=5, help="Time allowed from trigger to verdict.")] = 100.0,
    fault: Annotated[list[str] | None, typer.Option(help="NAME@SECONDS, for instance worker_killed@10.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep pictures of NG and REVIEW parts in the store.")] = False,
    as_json: Json = False,
) -> None:
    """Simulate a whole line without hardware, PLC included. Example: sightline simulate --seconds 10"""
    from sightline.operations import line

    watched = sys.stderr.isatty() and not as_json
    how = (product, stations, per_second, seconds, deadline_ms, fault or ())
    with text_line.table() if watched else nullcontext() as watch:
        figures = line.simulate(recipe, parts, folder, *how, keep=keep, watch=watch, tell=console.complain)
    console.say_json(figures) if as_json else console.say(text_line.simulate(figures))


@app.command()
def drift(
    station: Annotated[str | None, typer.Argument(help="Only this station.")] = None,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Show whether the line drifts, why, and what to do. Example: sightline drift press-3"""
    from sightline.operations import drift

    found = drift.drift((db, images), station)
    console.say_json(text_line.drift_json(found)) if as_json else console.say(text_line.drift(found))


@app.command()
def rates(
    station: Annotated[str | None, typer.Argument(help="Only this station.")] = None,
    days: Annotated[float, typer.Option(help="So many days back.")] = 30.0,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Escapes and overkill of the running line, with bounds. Example: sightline rates press-3 --days 7"""
    from sightline.operations import rates

    found = rates.rates((db, images), station, days)
    console.say_json(found.to_json()) if as_json else console.say(text_line.rates(found))


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="Folder for the two key files.")] = Path(),
    as_json: Json = False,
) -> None:
    """Create a key pair for signing recipes. Example: sightline keys keys"""
    from sightline.operations import recipes

    pair = recipes.keys(folder)
    text = f"{pair['private']} signs recipes: keep it. Stations get {pair['public']} ({pair['fingerprint']})"
    console.say_json(pair) if as_json else console.say(text)


@app.command()
def sign(
    recipe: RecipeFile,
    key: Annotated[Path, typer.Option(help="Private key file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Sign a recipe file. Example: sightline sign cookies.onnx --key keys/sightline.key"""
    from sightline.operations import recipes

    done = recipes.sign(recipe, key)
    console.say_json(done) if as_json else console.say(f"{recipe} is signed")


@app.command()
def verify(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, or an exported folder.", show_default=False)],
    key: Annotated[Path, typer.Option(help="Public key file.", show_default=False)],
    product: Annotated[str | None, typer.Option(help="Product that the recipe must be for.")] = None,
    as_json: Json = False,
) -> None:
    """Check a recipe's signature. Example: sightline verify cookies.onnx --key keys/sightline.pub"""
    from sightline.operations import recipes

    found = recipes.verify(recipe, key, product)
    text = f"{recipe} is signed by {found['signed_by']}, for {found['product']}, made at {found['made']}"
    console.say_json(found) if as_json else console.say(text)


@app.command()
def calibrate(
    image: Annotated[Path, typer.Argument(help="Photo of the board; with --board, the file to write.")],
    squares: Squares = "8x6",
    square_mm: Annotated[float, typer.Option(min=0.05, help="Side of a square, in mm.")] = 10.0,
    board: Annotated[bool, typer.Option("--board", help="Write a board to print instead.")] = False,
    as_json: Json = False,
) -> None:
    """Measure millimetres per pixel from a photo of a board. Example: sightline calibrate board.png --square-mm 10"""
    from sightline.operations import line

    figures = line.calibrate(image, squares, square_mm, board=board)
    console.say_json(figures) if as_json and not board else console.say(text_line.calibrate(figures))
