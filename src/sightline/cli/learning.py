"""Commands about self-learning: a round, its mode, what was changed, and taking it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.cli import console, text_line
from sightline.cli.app import app
from sightline.cli.options import Json, NewRecipe
from sightline.cli.store import Database, Images
from sightline.core.progress import progress

if TYPE_CHECKING:
    from sightline.store.adaptations import Mode

learning = typer.Typer(help="Self-learning at the stations: rounds, changes, undo.", no_args_is_help=True)
app.add_typer(learning, name="learning")

Station = Annotated[str, typer.Argument(help="Name of the station.", show_default=False)]
Change = Annotated[int, typer.Argument(help="Number in the list of changes.", show_default=False)]
Author = Annotated[str, typer.Option(help="Who decides.")]
Note = Annotated[str, typer.Option(help="Why; it goes into the audit.")]


@learning.command()
def learn(
    station: Station, author: Author = "", db: Database = None, images: Images = None, as_json: Json = False
) -> None:
    """One round of learning from the newest good parts. Example: sightline learning learn press-3"""
    from sightline.operations import learning

    with progress(as_json) as bar:
        found = learning.learn((db, images), station, author, bar)
    for one in found:
        console.say_json(one.to_json()) if as_json else console.say(text_line.learned(one))


@learning.command()
def mode(
    station: Station,
    wanted: Annotated[str | None, typer.Argument(help="off, suggest (a person admits each change) or on.")] = None,
    author: Author = "",
    note: Note = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Show or switch a station's self-learning. Example: sightline learning mode press-3 suggest --author ann"""
    from sightline.operations import learning

    given: Mode | None = wanted  # type: ignore[assignment]  # the operation checks it
    now = learning.mode((db, None), station, given, author, note)
    console.say_json({"station": station, "mode": now}) if as_json else console.say(f"{station}: {now}")


@learning.command()
def changes(
    station: Annotated[str | None, typer.Argument(help="Only this station.")] = None,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """List what stations have learned, the newest first. Example: sightline learning changes press-3"""
    from sightline.operations import learning

    found = learning.changes((db, None), station)
    console.say_json([text_line.change_json(one) for one in found]) if as_json else console.say(
        "\n".join(text_line.change(one) for one in found) or "nothing was learned since the recipes were made"
    )


@learning.command()
def harmless(
    inspection: Annotated[int, typer.Argument(help="Number of the inspection.", show_default=False)],
    view: Annotated[str, typer.Option(help="Which view of the part.")] = "view",
    apply: Annotated[bool, typer.Option("--apply", help="Do it; else only show what would change.")] = False,
    author: Author = "",
    note: Note = "",
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Call what stopped a part harmless. Example: sightline learning harmless 4711 --apply --author ann"""
    from sightline.operations import learning

    found = learning.harmless((db, images), inspection, view, author, note, dry_run=not apply)
    console.say_json(found.to_json()) if as_json else console.say(text_line.harmless(found))


@learning.command()
def decide(
    change: Change,
    admit: Annotated[bool, typer.Option("--admit/--refuse", help="Whether it takes effect.", show_default=False)],
    author: Author = "",
    note: Note = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Admit or refuse a suggested change. Example: sightline learning decide 12 --admit --author ann"""
    from sightline.operations import learning

    done = learning.decide((db, None), change, admit, author, note)
    console.say_json(text_line.change_json(done)) if as_json else console.say(text_line.change(done))


@learning.command()
def undo(change: Change, author: Author = "", note: Note = "", db: Database = None, as_json: Json = False) -> None:
    """Take a change back. Example: sightline learning undo 12 --author ann --note "it was oil" """
    from sightline.operations import learning

    done = learning.undo((db, None), change, author, note)
    console.say_json(text_line.change_json(done)) if as_json else console.say(text_line.change(done))


@app.command()
def transfer(
    recipe: Annotated[
        str, typer.Argument(help="Hash of the recipe in the store, or how it begins.", show_default=False)
    ],
    pictures: Annotated[list[Path], typer.Argument(help="5 to 20 good parts of the new place.", show_default=False)],
    to: Annotated[str, typer.Option(help="Name of the station.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only find out; change nothing.")] = False,
    author: Author = "",
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """May a recipe run at another station? Example: sightline transfer 3fe1a2b4 photos/press-4 --to press-4"""
    from sightline.operations import transfer

    with progress(as_json) as bar:
        found = transfer.transfer((db, images), recipe, to, pictures, author, dry_run, bar)
    console.say_json(found.to_json()) if as_json else console.say(text_line.transferred(found))


@app.command()
def improve(
    product: Annotated[str, typer.Argument(help="Product in the store.", show_default=False)],
    output: NewRecipe,
    effort: Annotated[str | None, typer.Option(help="quick, normal or max; default: as the recipe in use.")] = None,
    price: Annotated[list[str] | None, typer.Option(help="A price, like escape=50, stop=400, retraining=50.")] = None,
    ahead: Annotated[int | None, typer.Option(min=1, help="Parts in which a change has to be paid back.")] = None,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Learn from people's answers, into shadow at most. Example: sightline improve cookies -o cookies-2.onnx"""
    from sightline.operations import improving

    with progress(as_json) as bar:
        found = improving.improve((db, images), product, output, effort, price or (), ahead, bar)
    console.say_json(found.to_json()) if as_json else console.say(text_line.improved(found))


@app.command()
def schedule(
    product: Annotated[str | None, typer.Argument(help="The product; none: list all schedules.")] = None,
    labels: Annotated[int | None, typer.Option(help="Improve after so many new labels.")] = None,
    days: Annotated[float | None, typer.Option(help="Improve after so many days, where anything was labelled.")] = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Improve after an alarm, where something was labelled.")
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="Only when somebody asks for it.")] = False,
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Improve a recipe without being asked. Example: sightline schedule cookies --labels 50 --days 7 --drift"""
    from sightline.operations import schedules

    found = schedules.schedule((db, None), product, labels, days, drift, off, author)
    console.say_json([text_line.schedule_json(one) for one in found]) if as_json else console.say(
        "\n".join(text_line.schedule(one) for one in found) or "recipes are improved when somebody asks for it"
    )
