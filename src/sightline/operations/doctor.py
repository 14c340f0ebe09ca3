"""Is this machine ready, and if not, what to do."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from sightline.core.errors import missing_extra
from sightline.core.figures import Figures

LAB_REMEDY = "pip install 'sightline[train]' (only where recipes are trained)"
MIN_FREE_GB = 2.0
MIN_YEAR = 2025  # a clock before this is not set: records would carry wrong times


@dataclass(frozen=True)
class Check(Figures):
    """One finding: `needed` ones must be ok for this machine to judge parts."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    needed: bool = True


def doctor() -> list[Check]:
    """All findings, in the order a person would look."""
    return [*_line(), *_lab(), *_machine()]


def _line() -> Iterator[Check]:
    yield Check("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")
    for package in ("numpy", "opencv-python-headless", "onnxruntime", "pydantic"):
        yield _package(package, f"pip install {package}", needed=True)
    yield _attempt("onnxruntime runs", _providers, "pip install --force-reinstall onnxruntime")
    yield _package("openvino", "pip install 'sightline[openvino]' (only for another engine)", needed=False)
    yield Check("engine=auto", True, _chosen(), needed=False)


def _lab() -> Iterator[Check]:
    for package in ("torch", "onnx", "scikit-learn", "matplotlib"):
        yield _package(package, LAB_REMEDY, needed=False)
    yield _attempt("weights lite0", _weights, LAB_REMEDY, needed=False)
    yield _attempt("backbone cache", _cache, "set SIGHTLINE_CACHE to a folder that can be written", needed=False)


def _machine() -> Iterator[Check]:
    yield Check("processors", True, f"{len(os.sched_getaffinity(0))} usable")
    free = shutil.disk_usage(".").free / 2**30
    yield Check("disk", free >= MIN_FREE_GB, f"{free:.1f} GB free here", "free some space or use another disk")
    now = time.gmtime()
    yield Check("clock", now.tm_year >= MIN_YEAR, time.strftime("%Y-%m-%d %H:%M:%S UTC", now), "set the clock (NTP)")


def _package(name: str, fix: str, needed: bool) -> Check:
    try:
        return Check(name, True, version(name), needed=needed)
    except PackageNotFoundError:
        return Check(name, False, "not installed", fix, needed)


def _attempt(name: str, action: Callable[[], str], fix: str, needed: bool = True) -> Check:
    try:
        return Check(name, True, action(), needed=needed)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        return Check(name, False, f"needs {error.name}", LAB_REMEDY if missing else fix, needed)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the machine is a finding, not a crash
        return Check(name, False, f"{type(error).__name__}: {error}", fix, needed)


def _providers() -> str:
    import onnxruntime

    return ", ".join(onnxruntime.get_available_providers())


def _chosen() -> str:
    """What was chosen for recipes on this machine so far."""
    from sightline.runtime.engine_choice import remembered

    counts = Counter(f"{choice.engine} {choice.precision}" for choice in remembered())
    chosen = ", ".join(f"{engine} for {count}" for engine, count in counts.most_common())
    return f"measured recipes: {chosen}" if chosen else "no recipe was measured yet"


def _weights() -> str:
    from sightline.models.pretrained import weights_file

    return str(weights_file("lite0"))


def _cache() -> str:
    import tempfile

    from sightline.core.files import cache_folder

    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return str(folder)
