"""A recipe's first run, in a process of its own with little memory and time.

Five kilobytes of ONNX can ask for any amount of both: by a shape that is only computed, or by a long way of operators
on small numbers. No look at the file finds that out, so a file is opened and run once where it can do no harm.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

from sightline.core.errors import RecipeError, SettingError, warn_caller
from sightline.core.files import cache_folder

MEMORY, TIME = "SIGHTLINE_RECIPE_MB", "SIGHTLINE_RECIPE_S"
MEMORY_MB, TIME_S = 4096, 60  # ten times what the largest recipes of Sightline take, for one image on one thread
WAITING = 4  # times the processor's time, on a machine that has other work
LAST = 300  # characters of what the trial's process said last
_KILLED = tuple(-getattr(signal, name) for name in ("SIGKILL", "SIGXCPU") if hasattr(signal, name))
_HUNGRY = (b"MemoryError", b"bad_alloc")
_passed: set[str] = set()


def try_out(data: bytes, name: str) -> None:
    """Open a recipe's bytes and run one black image in a child process; bytes that have passed are not tried again.

    The limits are 4096 MB and 60 s of the processor, or SIGHTLINE_RECIPE_MB and SIGHTLINE_RECIPE_S. Raises RecipeError
    where it takes more, or cannot be opened or run.
    """
    memory_mb, time_s = _limit(MEMORY, MEMORY_MB), _limit(TIME, TIME_S)
    key = f"{hashlib.sha256(data).hexdigest()}-{memory_mb}-{time_s}"
    if key in _passed:
        return
    mark = None
    with suppress(OSError, SettingError):  # no home, or one that may not be entered: nothing is remembered
        mark = cache_folder() / "tried" / key
        if mark.is_file():
            return
    if not sys.executable or getattr(sys, "frozen", False):
        warn_caller(
            f"{name}: is opened without a trial run: there is no Python to start a separate process with", UserWarning
        )
        return
    error = _answer(data, name, memory_mb, time_s)
    if error:
        raise RecipeError(error.replace("recipe:", f"{name}:", 1))
    _passed.add(key)
    if mark is not None:
        with suppress(OSError):  # a disk that cannot be written: it is tried again the next time
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def _answer(data: bytes, name: str, memory_mb: int, time_s: int) -> str:
    """What the trial's process says is wrong, "" where nothing is. Raises RecipeError where it says nothing."""
    # -P: a file in the working folder that is called like a module must not be run in its stead.
    command = [sys.executable, "-P", "-m", "sightline.runtime.trial", str(memory_mb), str(time_s)]
    try:
        done = subprocess.run(  # noqa: S603 - this module itself
            command, input=data, capture_output=True, timeout=time_s * WAITING, check=False
        )
    except subprocess.TimeoutExpired:
        raise _refused(name, f"takes more than {time_s * WAITING} s for a first image") from None
    except OSError as error:
        raise RecipeError(f"{name}: could not be tried out ({error.strerror}). Free memory and try again") from error
    if done.returncode == 0:
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(done.stdout)["error"])
    if done.returncode in _KILLED or any(sign in done.stderr for sign in _HUNGRY):
        raise _refused(name, f"takes more than {memory_mb} MB or {time_s} s for a first image")
    output = " ".join(done.stderr.decode(errors="replace").split())[-LAST:] or "without a word"
    raise RecipeError(
        f"{name}: could not be tried out, so it is not opened: {sys.executable} ended with {done.returncode} "
        f"({output}). If the installation is whole (sightline doctor), train or copy the recipe again"
    )


def _refused(name: str, what: str) -> RecipeError:
    return RecipeError(
        f"{name}: {what}, so it is not opened. Train a smaller recipe; if it is your own and the machine is large "
        f"enough, raise {MEMORY} or {TIME} in the environment"
    )


def _limit(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise SettingError(f"{variable}={text}: is not a whole number above 0. Give one, or leave it out for {default}")
    return int(text)


def _run(data: bytes) -> str:
    """What is wrong with a recipe besides its hunger; "" where nothing is."""
    import numpy as np

    from sightline.runtime.session import OnnxSession

    try:
        session = OnnxSession(data, threads=1)
        kind, shape = session.inputs.get("image", ("", ()))
        if kind == "tensor(uint8)" and all(isinstance(side, int) for side in shape[1:]):
            session.run({"image": np.zeros((1, *shape[1:]), np.uint8)})
    except Exception as error:  # onnxruntime raises a family of untyped errors
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in ("alloc", "memory")):
            raise MemoryError from error
        if isinstance(error, RecipeError):
            return str(error)
        first = str(error).splitlines()[:1] or [type(error).__name__]
        return f"recipe: fails on a first image ({first[0][:200]}). Train or copy it again"
    return ""


def main() -> None:
    """Read a recipe from stdin, try it within the limits of the command line, and say what was wrong with it."""
    import resource

    memory_mb, time_s = (int(word) for word in sys.argv[1:3])
    # What is written to, shared libraries aside; RLIMIT_AS would count what is only reserved, too.
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: time_s, resource.RLIMIT_DATA: memory_mb << 20}
    for limit, most in wanted.items():
        given = resource.getrlimit(limit)[1]  # it can be lowered only
        low = most if given == resource.RLIM_INFINITY else min(most, given)
        resource.setrlimit(limit, (low, low))
    json.dump({"error": _run(sys.stdin.buffer.read())}, sys.stdout)


if __name__ == "__main__":
    main()
