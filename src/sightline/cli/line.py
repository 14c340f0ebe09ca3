"""Commands of the line: stations, a simulated line, signed recipes and calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.app import app
from sightline.cli.options import Json, RecipeFile
from sightline.command import console

StationFiles = Annotated[list[Path], typer.Argument(help="Stations' settings, TOML.", show_default=False)]
Squares = Annotated[str, typer.Option(help="Squares of the board, columns x rows.")]


@app.command()
def run(
    stations: StationFiles,
    check: Annotated[bool, typer.Option("--check", help="Check the settings, start nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Run stations until Ctrl-C: camera, verdict, PLC. Example: sightline run station.toml"""
    from sightline.command import running

    for settings in running.check(stations):
        line = running.to_json(settings) if as_json else running.describe(settings)
        console.say(line) if check else console.complain(line)
    if not check and not running.run(stations):
        raise typer.Exit(1)


@app.command()
def simulate(
    recipe: Annotated[Path | None, typer.Option(help="Recipe file; none: a sample product's is made.")] = None,
    parts: Annotated[Path | None, typer.Option(help="Folder of images that come along.")] = None,
    product: Annotated[str, typer.Option(help="Sample product: cap, board or fabric.")] = "cap",
    folder: Annotated[Path, typer.Option(help="Folder for everything.")] = Path("simulation"),
    stations: Annotated[int, typer.Option(min=1, max=16, help="Stations at work.")] = 1,
    per_second: Annotated[float, typer.Option(min=0.1, max=200, help="Parts per second and station.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long parts come.")] = 20.0,
    deadline_ms: Annotated[float, typer.Option(min=5, help="From trigger to verdict.")] = 100.0,
    fault: Annotated[list[str] | None, typer.Option(help="NAME@SECONDS, for instance judge_killed@10.")] = None,
    as_json: Json = False,
) -> None:
    """A whole line without hardware, PLC included. Example: sightline simulate --seconds 10"""
    from sightline.command import simulating
    from sightline.line.simulation import Setup

    faults = [simulating.parse_fault(text) for text in fault or []]
    if recipe is None or parts is None:
        recipe, parts = simulating.prepare(folder, product, console.complain)
    setup = Setup(recipe, parts, folder, stations, per_second, deadline_ms)
    watched = simulating.is_terminal() and not as_json
    figures = simulating.simulate(setup, seconds, faults, watched, console.complain)
    console.say_json(figures) if as_json else console.say(simulating.describe(figures))


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="Folder for the two key files.")] = Path(),
    as_json: Json = False,
) -> None:
    """Make a pair of keys for signing recipes. Example: sightline keys keys"""
    from sightline.command import signing

    made = signing.keys(folder)
    text = f"{made['private']} signs recipes: keep it. Stations get {made['public']} ({made['fingerprint']})"
    console.say_json(made) if as_json else console.say(text)


@app.command()
def sign(
    recipe: RecipeFile,
    key: Annotated[Path, typer.Option(help="Private key file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Sign a recipe file. Example: sightline sign cookies.onnx --key keys/sightline.key"""
    from sightline.command import signing

    done = signing.sign_file(recipe, key)
    console.say_json(done) if as_json else console.say(f"{recipe} is signed")


@app.command()
def verify(
    recipe: RecipeFile,
    key: Annotated[Path, typer.Option(help="Public key file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Check a recipe's signature. Example: sightline verify cookies.onnx --key keys/sightline.pub"""
    from sightline.command import signing

    found = signing.verify_file(recipe, key)
    console.say_json(found) if as_json else console.say(f"{recipe} is signed by {found['signed_by']}")


@app.command()
def calibrate(
    image: Annotated[Path, typer.Argument(help="Picture of the board; with --board: file to write.")],
    squares: Squares = "8x6",
    square_mm: Annotated[float, typer.Option(min=0.05, help="Side of a square, in mm.")] = 10.0,
    board: Annotated[bool, typer.Option("--board", help="Write the board for printing instead.")] = False,
    as_json: Json = False,
) -> None:
    """Millimetres per pixel from a picture of a board. Example: sightline calibrate board.png --square-mm 10"""
    from sightline.command import calibrating

    if board:
        console.say(calibrating.print_board(image, squares, square_mm))
        return
    figures = calibrating.calibrate(image, squares, square_mm)
    console.say_json(figures) if as_json else console.say(calibrating.describe(figures))
