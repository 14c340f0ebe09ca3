"""The command line's root. Commands are added to it by the modules that `sightline.cli` imports."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Visual inspection by deep learning: from photos of good parts to verdicts on the line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
