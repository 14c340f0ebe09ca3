"""Commands about rollouts: a recipe brought to stations, how that goes, and taking it back."""

from __future__ import annotations

from typing import Annotated

import typer

from sightline.cli import console, text_line
from sightline.cli.app import app
from sightline.cli.options import Json
from sightline.cli.store import Database

rollout = typer.Typer(help="Recipes brought to stations: canary first, watched, taken back.", no_args_is_help=True)
app.add_typer(rollout, name="rollout")

Author = Annotated[str, typer.Option(help="Who decides.")]


@rollout.command()
def start(
    recipe: Annotated[str, typer.Argument(help="Hash of a promoted recipe, or how it begins.", show_default=False)],
    to: Annotated[list[str], typer.Option(help="A station; once for each. The first is the canary.")],
    parts: Annotated[int, typer.Option(help="Parts that each station inspects with it before it goes on.")] = 200,
    author: Author = "",
    note: Annotated[str, typer.Option(help="Why; it goes into the audit.")] = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Bring a recipe to stations. Example: sightline rollout start 3fe1a2b4 --to press-3 --to press-4"""
    from sightline.operations import rollouts

    found = rollouts.start((db, None), recipe, to, parts, author, note)
    console.say_json(text_line.rollout_json(found, ())) if as_json else console.say(text_line.rollout(found, ()))


@rollout.command("list")
def list_rollouts(db: Database = None, as_json: Json = False) -> None:
    """List rollouts and what their stations run, the newest first. Example: sightline rollout list"""
    from sightline.operations import rollouts

    found = rollouts.list_rollouts((db, None))
    console.say_json([text_line.rollout_json(*one) for one in found]) if as_json else console.say(
        "\n".join(text_line.rollout(*one) for one in found) or "nothing was rolled out"
    )


@rollout.command()
def back(
    number: Annotated[int, typer.Argument(help="Number of the rollout.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit.")],
    author: Author = "",
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Take a rollout back at all of its stations. Example: sightline rollout back 7 --reason "overkill in lot 12" """
    from sightline.operations import rollouts

    found = rollouts.back((db, None), number, reason, author)
    console.say_json(text_line.rollout_json(found, ())) if as_json else console.say(text_line.rollout(found, ()))
