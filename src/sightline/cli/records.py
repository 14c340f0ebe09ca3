"""`sightline pilot ...` and `sightline records ...`: a pilot on the line, and records that people sign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.cli import console, text_studies
from sightline.cli.app import app
from sightline.cli.options import Data, Json, RecipeFile, Threads, ends_in
from sightline.cli.store import Database, Images
from sightline.cli.studies import Author, Means, Name, Password
from sightline.core.progress import progress

if TYPE_CHECKING:
    from sightline.improve.pilot import Exit
    from sightline.store.records import Meaning

pilot = typer.Typer(help="A pilot on the line: targets, running verdict, exit.", no_args_is_help=True)
records = typer.Typer(help="Records that people sign.", no_args_is_help=True)
app.add_typer(pilot, name="pilot")
app.add_typer(records, name="records")

Station = Annotated[str, typer.Argument(help="Name of the station.", show_default=False)]
Record = Annotated[int, typer.Argument(help="Number of the record.", show_default=False)]
Note = Annotated[str, typer.Option(help="Why it is done all the same; it stands in the record.")]


@pilot.command()
def begin(
    station: Station,
    escape: Annotated[float, typer.Option(help="Largest share of the defective parts that may be judged OK.")] = 0.01,
    overkill: Annotated[float, typer.Option(help="Largest share of the good parts that may be judged NG.")] = 0.01,
    review: Annotated[float, typer.Option(help="Largest share of the parts that people may have to look at.")] = 0.03,
    parts: Annotated[int, typer.Option(help="Fewest parts that have to run through.")] = 10_000,
    price: Annotated[list[str] | None, typer.Option(help="Such as escape=50, overkill=2, review=0.5.")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Of the recipe that runs in shadow there.")] = False,
    note: Note = "",
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Begin a pilot. Example: sightline pilot begin press-3 --escape 0.01 --overkill 0.01 --parts 20000"""
    from sightline.operations import pilot

    targets = text_studies.targets(escape, overkill, review, parts, price)
    found = pilot.begin((db, None), station, targets, author, note, shadow)
    console.say_json(found) if as_json else console.say(text_studies.begun(found))


@pilot.command()
def status(station: Station, db: Database = None, as_json: Json = False) -> None:
    """Say how a pilot stands. Example: sightline pilot status press-3"""
    from sightline.operations import pilot

    found = pilot.status((db, None), station)
    console.say_json(found) if as_json else console.say(text_studies.standing(found))


@pilot.command()
def end(
    station: Station,
    decision: Annotated[str, typer.Argument(help="scale, redesign or stop.", show_default=False)],
    note: Note = "",
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """End a pilot with its evidence. Example: sightline pilot end press-3 scale"""
    from sightline.operations import pilot

    wanted: Exit = decision  # type: ignore[assignment]  # the operation checks it
    found = pilot.end((db, None), station, wanted, author, note)
    console.say_json(found) if as_json else console.say(text_studies.record(found))


@app.command()
def qualify(
    recipe: RecipeFile,
    data: Data,
    escape: Annotated[float, typer.Option(help="Largest share of defective parts judged OK.")] = 0.05,
    overkill: Annotated[float, typer.Option(help="Largest share of good parts judged NG.")] = 0.05,
    deadline_ms: Annotated[float, typer.Option(min=1, help="Within which 95 % are inspected.")] = 1000.0,
    threads: Threads = 2,
    author: Author = "",
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """IQ, OQ and PQ of this machine, kept as a record. Example: sightline qualify cookies.onnx photos/cookies"""
    from sightline.operations import qualification

    with progress(as_json) as bar:
        found = qualification.qualify((db, images), recipe, data, escape, overkill, deadline_ms, author, threads, bar)
    console.say_json(found) if as_json else console.say(text_studies.qualified(found))
    if found["content"]["answer"] != "passed":
        raise typer.Exit(1)


@records.command()
def show(
    kind: Annotated[str | None, typer.Option(help="study, pilot, audit or qualification.")] = None,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """List records and who signed them. Example: sightline records show --kind pilot"""
    from sightline.operations import signing

    found = signing.show((db, None), kind)
    told = "\n".join(text_studies.record(one) for one in found) or "There is no record yet."
    console.say_json(found) if as_json else console.say(told)


@records.command()
def sign(
    number: Record,
    name: Name,
    password: Password,
    meaning: Means = "performed",
    comment: Annotated[str, typer.Option(help="What the signature should say beside.")] = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Sign a record. Example: sightline records sign 4 --as eve --meaning approved"""
    from sightline.operations import signing

    given: Meaning = meaning  # type: ignore[assignment]  # the operation checks it
    found = signing.sign((db, None), number, name, password, given, comment)
    told = text_studies.signature(found)
    console.say_json(text_studies.signature_json(found)) if as_json else console.say(told)


@records.command()
def export(
    number: Record,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Report to write.", callback=ends_in(".pdf", ".html", ".json"))
    ],
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Write a record as a report. Example: sightline records export 4 -o pilot.pdf"""
    from sightline.operations import signing

    found = signing.export((db, None), number, output)
    console.say_json({"report": str(found)}) if as_json else console.say(f"Report: {found.resolve()}")
