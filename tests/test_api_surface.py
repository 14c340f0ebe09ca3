"""A public name cannot vanish unnoticed."""

import inspect
import subprocess
import sys

import pytest

import sightline

NAMES = [
    "Band",
    "Dataset",
    "Defect",
    "Evaluation",
    "Inspector",
    "Recipe",
    "Result",
    "Sample",
    "SightlineError",
    "Verdict",
    "compare",
    "evaluate",
    "explain",
    "search",
    "set_thresholds",
    "teach",
    "train",
]


def test_public_names_are_these_and_can_be_reached():
    assert sorted(sightline.__all__) == NAMES
    for name in NAMES:
        assert callable(getattr(sightline, name))
        assert getattr(sightline, name).__doc__


def test_the_verbs_can_be_called_whatever_was_imported_before():
    for first in ("import sightline.train.settings", "import sightline.evaluate.statistics.intervals", "pass"):
        verbs = "sightline.train, sightline.evaluate, sightline.search"
        code = f"import sightline\n{first}\nassert all(callable(verb) for verb in ({verbs}))"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_functions_and_methods_explain_themselves():
    for name in ("Dataset", "Inspector", "Recipe", "Band"):
        kind = getattr(sightline, name)
        for member, value in inspect.getmembers(kind, inspect.isfunction):
            if not member.startswith("_") and value.__module__.startswith("sightline"):
                assert value.__doc__, f"{name}.{member}"


@pytest.mark.parametrize(
    "line",
    [
        "from sightline.core.errors import CameraError, InputError",
        "from sightline.core.region import union",
        "from sightline.data.dataset import Dataset",
        "from sightline.data.image_size import image_size",
        "from sightline.data.sample import write",
        "from sightline.devices.cameras.table import open_camera",
        "from sightline.line import interlock",
        "from sightline.runtime.image import read_image, read_mask",
        "from sightline.runtime.inspector import Inspector",
    ],
)
def test_what_scripts_outside_import_keeps_its_name(line: str) -> None:
    found: dict[str, object] = {}
    exec(line, found)
    names = [name.strip() for name in line.partition(" import ")[2].split(",")]
    assert all(callable(found[name]) or inspect.ismodule(found[name]) for name in names)
