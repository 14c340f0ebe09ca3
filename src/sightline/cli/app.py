"""The command line's root. Commands are added to it by the modules that `sightline.cli` imports."""

from __future__ import annotations

from typing import Annotated

import typer

import sightline
from sightline.cli import console

app = typer.Typer(
    help="Visual inspection by deep learning: from photos of good parts to verdicts on the line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        console.say(f"sightline {sightline.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Visual inspection by deep learning: from photos of good parts to verdicts on the line."""
