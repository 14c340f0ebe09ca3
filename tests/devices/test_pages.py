"""The pages of cameras and sinks say what the code does: kinds, settings, error codes, examples."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from sightline.core.signals import ErrorCode
from sightline.devices.cameras.table import CAMERAS, read_camera
from sightline.devices.sinks.table import SINKS, read_sink

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
KINDS = [("cameras", kind, CAMERAS[kind]) for kind in CAMERAS] + [("sinks", kind, SINKS[kind]) for kind in SINKS]


@pytest.mark.parametrize(("folder", "kind", "module"), KINDS)
def test_every_setting_is_on_its_page_as_it_is(folder, kind, module):
    page, common = (DOCS / folder / f"{kind}.md").read_text(), (DOCS / folder / "README.md").read_text()
    assert f"[{kind}]({kind}.md)" in common
    for name, field in import_module(module).Settings.model_fields.items():
        if name == "kind":
            continue
        rows = re.findall(rf"^\| `{name}` \|.*$", page + common, re.MULTILINE)
        assert any(field.description.replace("|", "\\|") in row for row in rows), f"{kind}.{name} is not on its page"


@pytest.mark.parametrize(("folder", "kind", "module"), KINDS)
def test_examples_are_settings_that_hold(folder, kind, module):
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / folder / f"{kind}.md").read_text(), re.DOTALL)
    assert examples
    for example in examples:
        values = tomllib.loads(example)
        if folder == "cameras":
            assert read_camera(values["camera"]).kind == kind
        else:
            (sink,) = values.get("sinks", [values.get("controller")])
            assert read_sink(sink).kind == kind


def test_every_error_code_is_listed():
    page = (DOCS / "sinks" / "modbus.md").read_text()
    assert re.findall(r"^\| (\d+) \| ([A-Z_]+) \|$", page, re.MULTILINE) == [(str(int(c)), c.name) for c in ErrorCode]


@pytest.mark.parametrize("page", ["cameras/README.md", "sinks/README.md", "sinks/webhook.md"])
def test_python_on_the_pages_runs_as_written(page):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for code in blocks:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
