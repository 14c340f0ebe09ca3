"""engine=auto: the fastest engine that says the same as onnxruntime on this machine, measured once per recipe.

onnxruntime is the reference, for the recipe's thresholds were fitted in it. Each other engine is measured against it in
a process of its own, in turn, so that a crash, a hang or hungry native code costs that engine and nothing else, and
other work on the machine slows both alike (docs/decisions/0050).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import EXPLANATION_KEY, ExplanationData
from sightline.core.errors import SettingError, SightlineError
from sightline.core.files import cache_folder
from sightline.imaging.decoding import decode
from sightline.runtime.recipe import parse_card, write_atomically
from sightline.runtime.session import (
    TOLERANCE,
    Engine,
    OnnxSession,
    Precision,
    Session,
    open_session,
    relative_difference,
)

EngineSetting: TypeAlias = Engine | Literal["auto"]

FIRST: tuple[Engine, Precision] = ("onnxruntime", "f32")
OTHERS: tuple[tuple[Engine, Precision], ...] = (("openvino", "f32"), ("openvino", "bf16"))
GAIN = 1.05  # times as fast: less is within what a machine's mood does
Answer: TypeAlias = "tuple[float, float, int] | str"  # times as fast, largest difference, changed verdicts; or an error
RUNS, WARM_UP = 21, 3
TIME_S = 30  # for an engine; a station waits two minutes for all its recipes
FOLDER = "engines"


@dataclass(frozen=True)
class Choice:
    """An engine and its precision for a recipe on this machine, and in words what that rests on."""

    engine: Engine
    precision: Precision
    reason: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} ({self.reason})"


def open_engine(
    data: bytes, threads: int, engine: EngineSetting, precision: Precision, name: str
) -> tuple[Session, Choice]:
    """A recipe's graph in the engine that was asked for, or in the fastest; and which one that is.

    Raises as `open_session` does, and SettingError where a precision is asked for beside `auto`, which chooses it.
    """
    if engine != "auto":
        return open_session(data, threads, engine, precision, name), Choice(engine, precision, "as asked for")
    if precision != "f32":
        raise SettingError(f"engine 'auto' also chooses the precision. Leave '{precision}' out, or name the engine")
    choice = choose_engine(data, threads)
    try:
        return open_session(data, threads, choice.engine, choice.precision, name), choice
    except SightlineError as error:
        if (choice.engine, choice.precision) == FIRST:
            raise
        choice = Choice(*FIRST, f"{choice.engine} {choice.precision} was faster once, and now: {error}")
        return open_session(data, threads, *FIRST, name), choice


def choose_engine(data: bytes, threads: int) -> Choice:
    """The fastest engine for a recipe's bytes with so many threads; what was measured once is remembered.

    Where no other engine is installed or nothing can be remembered, nothing is measured and onnxruntime is taken.
    """
    if _version("openvino") is None:
        return Choice(*FIRST, "no other engine is installed: pip install 'sightline[openvino]'")
    if not sys.executable or getattr(sys, "frozen", False):
        return Choice(*FIRST, "nothing was measured: no Python to start a process with")
    try:
        file = cache_folder() / FOLDER / f"{_key(data, threads)}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except (OSError, SightlineError) as error:
        return Choice(*FIRST, f"nothing was measured, for it could not be remembered: {error}")
    kept = _read(file)
    if kept is None:
        kept = _measure(data, threads)
        with suppress(OSError):
            # Beside another process that measures the same, either whole answer is right.
            write_atomically(file, json.dumps(asdict(kept)).encode())
    return kept


def remembered() -> list[Choice]:
    """What was chosen on this machine so far, for all recipes and versions."""
    with suppress(OSError, SightlineError):
        return [kept for file in sorted((cache_folder() / FOLDER).glob("*.json")) if (kept := _read(file))]
    return []


def _key(data: bytes, threads: int) -> str:
    packages = [version("onnxruntime"), _version("openvino"), _version("sightline")]
    facts = [hashlib.sha256(data).hexdigest(), threads, _processor(), len(os.sched_getaffinity(0)), *packages]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _processor() -> str:
    """The processor's model and abilities: a cache may lie in a home folder that several machines share."""
    with suppress(OSError):
        facts = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        return str({key.strip(): value.strip() for key, _, value in facts if key.startswith(("model name", "flags"))})
    return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read(file: Path) -> Choice | None:
    """A choice that was remembered; None where there is none, or none that can be taken."""
    try:
        kept = Choice(**json.loads(file.read_bytes()))
        return kept if (kept.engine, kept.precision) in (FIRST, *OTHERS) else None
    except (OSError, ValueError, TypeError):
        return None


def _measure(data: bytes, threads: int) -> Choice:
    load = f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors"
    return _best({other: _answer(data, threads, *other) for other in OTHERS}, load)


def _best(answers: dict[tuple[Engine, Precision], Answer], load: str) -> Choice:
    """The fastest of what was measured that says the same as onnxruntime and is worth the change."""
    best, most, told = FIRST, GAIN, []
    for (engine, precision), answer in answers.items():
        if isinstance(answer, str):
            told.append(f"{engine} {precision}: {answer}")
            continue
        gain, difference, flips = answer
        same = difference <= TOLERANCE and not flips  # false for NaN, too
        told.append(f"{engine} {precision} takes {1 / gain:.2f} of its time"
                    + ("" if same else f", but is off by {difference:.1g}, and {TOLERANCE:g} is allowed"))  # fmt: skip
        if same and gain >= most:
            best, most = (engine, precision), gain
    return Choice(*best, f"beside onnxruntime f32, {'; '.join(told)}; {load}")


def _answer(data: bytes, threads: int, engine: str, precision: str) -> Answer:
    """What the process that measures one engine says."""
    # -P: a file in the working folder that is called like a module must not be run in its stead.
    command = [sys.executable, "-P", "-m", "sightline.runtime.engine_choice", engine, precision, str(threads)]
    try:
        done = subprocess.run(  # noqa: S603 - this module itself
            command, input=data, capture_output=True, timeout=TIME_S, check=False
        )
        if done.returncode == 0:
            said = json.loads(done.stdout)
            return said if isinstance(said, str) else (float(said[0]), float(said[1]), int(said[2]))
    except subprocess.TimeoutExpired:
        return f"not measured within {TIME_S} s"
    except (OSError, ValueError, TypeError, LookupError) as error:
        return f"not measured ({error})"
    return f"ended with {done.returncode} while it was measured"


def _compare(data: bytes, engine: str, precision: str, threads: int) -> Answer:
    """One engine beside onnxruntime on the recipe's own pictures."""
    try:
        first, other = OnnxSession(data, threads), open_session(data, threads, engine, precision)
        card = parse_card(first.metadata, "recipe")
        shown = list(probes(first))
        pairs = [(first.run({"image": probe}), other.run({"image": probe})) for probe in shown]
    except SightlineError as error:
        return str(error)
    difference = max(relative_difference(one[name], two[name]) for one, two in pairs for name in one)
    flips = sum(card.band.decide(float(a["score"][0])) is not card.band.decide(float(b["score"][0])) for a, b in pairs)
    ratios = []
    for run in range(WARM_UP + RUNS):
        given = {"image": shown[run % len(shown)]}
        spent = [_seconds(session, given) for session in (first, other)]
        ratios += [spent[0] / spent[1]] if run >= WARM_UP else []
    return float(np.median(ratios)), difference, flips


def _seconds(session: Session, given: dict[str, NDArray[np.uint8]]) -> float:
    start = time.perf_counter()
    session.run(given)
    return time.perf_counter() - start


def probes(session: OnnxSession) -> Iterator[NDArray[np.uint8]]:
    """Inputs (1, H, W, 3): the good patches that the recipe keeps, as a mosaic and enlarged, and noise."""
    high, wide = (int(side) for side in session.inputs["image"][1][1:3])
    yield np.random.default_rng(0).integers(0, 256, (1, high, wide, 3), np.uint8)
    text = session.metadata.get(EXPLANATION_KEY)
    crops = None if text is None else ExplanationData.model_validate_json(text).memory_crops
    if crops is None:
        return
    sheet = decode(base64.b64decode(crops.jpeg), "the recipe's good patches")[0]
    for share in (1, 2, 4, 8):  # of the input's side; larger and larger patches, down to a few
        rows, columns = (
            np.arange(side) // share % limit for side, limit in zip((high, wide), sheet.shape[:2], strict=True)
        )
        yield np.ascontiguousarray(sheet[rows][:, columns][None])


def main() -> None:
    """Read a recipe from stdin, measure the engine of the command line, and print what was found."""
    engine, precision, threads = sys.argv[1:4]
    json.dump(_compare(sys.stdin.buffer.read(), engine, precision, int(threads)), sys.stdout)


if __name__ == "__main__":
    main()
