"""The command line: one command, one function of the same name. Exit codes: 0 fine, 1 failed, 2 bad usage."""

from __future__ import annotations

import os
import sys

from sightline.cli import data as data
from sightline.cli import lab as lab
from sightline.cli import labels as labels
from sightline.cli import line as line
from sightline.cli import store as store
from sightline.cli.app import app
from sightline.command import console
from sightline.core.errors import SettingError, SightlineError


def main() -> None:
    """Run the command line; errors that a user can act on become one message and an exit code."""
    console.show_warnings()
    try:
        app()
    except SettingError as error:
        console.complain(f"error: {error}")
        sys.exit(2)
    except SightlineError as error:
        console.complain(f"error: {error}")
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has gone (`| head`): nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
