"""`sightline study ...`: what people and machines can do, proven with the statistics that an auditor accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli import console, text_studies
from sightline.cli.app import app
from sightline.cli.options import Json, Threads, ends_in
from sightline.cli.store import Database, Images
from sightline.core.progress import progress

if TYPE_CHECKING:
    from sightline.store.records import Meaning

study = typer.Typer(help="Studies for auditors: MSA, Knapp, acceptance, capability.", no_args_is_help=True)
app.add_typer(study, name="study")

Number = Annotated[int, typer.Argument(help="Number of the study.", show_default=False)]
Name = Annotated[str, typer.Option("--as", help="Who signs: the name they log in with.", show_default=False)]
Password = Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for where it is not given.")]
Means = Annotated[str, typer.Option(help="performed, reviewed or approved.")]
Author = Annotated[str, typer.Option(help="Who does it; default: as this machine knows you.")]


def _say(found: Any, text: str, as_json: bool) -> None:
    console.say_json(found) if as_json else console.say(text)


@study.command()
def plan(
    limit: Annotated[
        float, typer.Argument(help="Largest rate that is to be proven, such as 0.01.", show_default=False)
    ],
    good: Annotated[float | None, typer.Option(help="Usual rate of good lots, for a double sampling plan.")] = None,
    confidence: Annotated[float, typer.Option(help="How sure the claim has to be.")] = 0.95,
    as_json: Json = False,
) -> None:
    """Say how many parts a claim needs. Example: sightline study plan 0.01"""
    from sightline.operations import studies

    found = studies.plan(limit, good, confidence)
    _say(found.to_json(), text_studies.planned(found), as_json)


@study.command()
def design(
    name: Annotated[str, typer.Argument(help="What it is called.", show_default=False)],
    parts: Annotated[str, typer.Argument(help="Folder, store:PRODUCT, or a CSV table of parts.", show_default=False)],
    person: Annotated[list[str] | None, typer.Option(help="User who reads; once for each.")] = None,
    machine: Annotated[list[str] | None, typer.Option(help="Name of a machine that reads.")] = None,
    kind: Annotated[str, typer.Option(help=text_studies.KINDS)] = "attribute",
    product: Annotated[str, typer.Option(help="What the parts are.")] = "",
    trials: Annotated[int, typer.Option(help="How often everybody reads every part.")] = 3,
    count: Annotated[int | None, typer.Option(help="How many parts are drawn; default: all.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="Agreed limit, e.g. escape=0.01 or upper=4.2.")] = None,
    question: Annotated[str, typer.Option(help="What is asked about each part.")] = "",
    seed: Annotated[int, typer.Option(help="Of the random orders.")] = 0,
    blind: Annotated[bool, typer.Option(help="Appraisers do not see which part it is.")] = True,
    author: Author = "",
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Design a study. Example: sightline study design MSA photos/cookies --person ann --machine line --count 30"""
    from sightline.operations import studies

    wanted = text_studies.wanted(name, kind, product, parts, person, machine, trials, question, seed, blind, limit)
    with progress(as_json) as bar:
        found = studies.design((db, images), wanted, parts, count, author, bar)
    _say(found.to_json(), text_studies.progressed(found), as_json)


@study.command()
def show(number: Number, db: Database = None, as_json: Json = False) -> None:
    """Show how far a study is. Example: sightline study show 3"""
    from sightline.operations import studies

    found = studies.show((db, None), number)
    _say(found.to_json(), text_studies.progressed(found), as_json)


@study.command()
def record(
    number: Number,
    appraiser: Annotated[str, typer.Argument(help="Whose reading it is.", show_default=False)],
    answer: Annotated[str | None, typer.Argument(help="OK or NG, for the part whose turn it is.")] = None,
    value: Annotated[float | None, typer.Option(help="Measured value.")] = None,
    protocol: Annotated[Path | None, typer.Option(help="CSV table: trial, part, answer, value, day.")] = None,
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Keep a reading, or a protocol; without either, tell whose turn it is. Example: sightline study record 3 ann OK"""
    from sightline.operations import studies

    reading = text_studies.reading(answer, value)
    turn = studies.record((db, None), number, appraiser, reading, protocol, author)
    _say(text_studies.turn_json(turn), text_studies.turn(turn), as_json)


@study.command()
def run(
    number: Number,
    recipe: Annotated[str, typer.Argument(help="Recipe file, or a hash in the store.", show_default=False)],
    machine: Annotated[str | None, typer.Option(help="Which machine of the study; default: the first.")] = None,
    threads: Threads = 2,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Have a recipe read what the machine has still to read. Example: sightline study run 3 cookies.onnx"""
    from sightline.operations import studies

    with progress(as_json) as bar:
        found = studies.run((db, images), number, recipe, machine, threads, bar)
    _say(found.to_json(), text_studies.progressed(found), as_json)


@study.command()
def close(
    number: Number,
    note: Annotated[str, typer.Option(help="Why trials are missing, for the report.")] = "",
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Close a study with what there is. Example: sightline study close 3 --note "bob was ill on day 2" """
    from sightline.operations import studies

    found = studies.close((db, None), number, author, note)
    _say(found, text_studies.result(found), as_json)


@study.command()
def result(number: Number, db: Database = None, as_json: Json = False) -> None:
    """Say what a closed study found. Example: sightline study result 3"""
    from sightline.operations import studies

    found = studies.result((db, None), number)
    _say(found, text_studies.result(found), as_json)


@study.command()
def sign(
    number: Number,
    name: Name,
    password: Password,
    meaning: Means = "performed",
    comment: Annotated[str, typer.Option(help="What the signature should say beside.")] = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Sign a closed study. Example: sightline study sign 3 --as ann --meaning approved"""
    from sightline.operations import studies

    given: Meaning = meaning  # type: ignore[assignment]  # the operation checks it
    found = studies.sign((db, None), number, name, password, given, comment)
    _say(text_studies.signature_json(found), text_studies.signature(found), as_json)


@study.command()
def export(
    number: Number,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Report to write.", callback=ends_in(".pdf", ".html", ".json"))
    ],
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Write a closed study's report. Example: sightline study export 3 -o msa.pdf"""
    from sightline.operations import studies

    found = studies.export((db, images), number, output)
    _say({"report": str(found)}, f"Report: {found.resolve()}", as_json)


@study.command()
def verify(db: Database = None, as_json: Json = False) -> None:
    """Check every record, signature and study for tampering. Example: sightline study verify"""
    from sightline.operations import studies

    broken = studies.verify((db, None))
    _say({"ok": not broken, "broken": broken}, broken or "Nothing was altered or taken out.", as_json)
    if broken:
        raise typer.Exit(1)
