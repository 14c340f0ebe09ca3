"""The command line: one command, one function of the same name. Exit codes: 0 fine, 1 failed, 2 bad usage."""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from sightline.cli import console
from sightline.cli import data as data
from sightline.cli import fleet as fleet
from sightline.cli import lab as lab
from sightline.cli import labels as labels
from sightline.cli import learning as learning
from sightline.cli import line as line
from sightline.cli import plan as plan
from sightline.cli import records as records
from sightline.cli import rollout as rollout
from sightline.cli import scale as scale
from sightline.cli import store as store
from sightline.cli import studies as studies
from sightline.cli import web as web
from sightline.cli.app import app
from sightline.core.errors import SettingError, SightlineError, missing_extra

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended: 128 and the signal's number

# What the disk says, whatever was to be written: full, read-only, or not ours.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def main() -> None:
    """Run the command line; errors that a user can act on become one message and an exit code."""
    console.take_any_letter()
    console.show_warnings()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # which a shell sets for what it starts in the background
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _not_ignored
    try:
        app()
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            _leave_interrupted()
        raise
    except (SightlineError, ModuleNotFoundError, OSError) as error:
        _fail(error)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Ctrl-C: KeyboardInterrupt, but not through an import: torch's modules are built in C++ that calls Python from
    where nothing may be raised, and the process would abort. While modules are read nothing is written: leave at once.
    """
    above = frame
    while above is not None:
        if above.f_code.co_filename == "<frozen importlib._bootstrap>":
            _leave_interrupted()
        above = above.f_back
    raise KeyboardInterrupt


def _not_ignored(trouble: sys.UnraisableHookArgs) -> None:
    """Ctrl-C that comes while Python clears something away would be printed and forgotten, and the work go on."""
    if isinstance(trouble.exc_value, KeyboardInterrupt):
        _leave_interrupted()
    sys.__unraisablehook__(trouble)


def _leave_interrupted() -> NoReturn:
    """Say so and end with 130 whatever the other threads do.

    Python's own ending waits for them, and dies of the signal instead of 130 where Ctrl-C came inside an `exec`.
    """
    console.complain("stopped by Ctrl-C. Recipes and reports are complete or absent")
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _fail(error: SightlineError | ModuleNotFoundError | OSError) -> NoReturn:
    """One message for what a user can act on, and its exit code; what else is missing or fails is a fault of ours."""
    cause: object = error
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone (`| head`): nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    if isinstance(error, ModuleNotFoundError):
        cause = missing_extra(error)
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        remedy = "Free space, or name another place"
        cause = f"{where}cannot be written ({error.strerror}). {remedy}" if error.errno in DISK else None
    if cause is None:
        raise error
    console.complain(f"error: {cause}")
    sys.exit(2 if isinstance(cause, SettingError) else 1)
