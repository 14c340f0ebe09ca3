"""What is typed wrongly is answered at once, with what to type instead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sightline
from sightline.cli import app
from sightline.core.errors import SettingError


def said(*words: object) -> str:
    """The error of a command that must be refused as bad usage."""
    error = CliRunner().invoke(app, [str(word) for word in words]).exception
    assert isinstance(error, SettingError), error
    return str(error)


def test_the_version_is_said() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"sightline {sightline.__version__}"


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """As a shell does it: the script that `--install-completion` writes, asked for what may follow."""
    asked = """sightline --install-completion > /dev/null; . ~/.bash_completions/sightline.sh
        COMP_WORDS=(sightline tea); COMP_CWORD=1; _sightline_completion sightline; echo "${COMPREPLY[@]}"
        COMP_WORDS=(sightline serve --behind); COMP_CWORD=2; _sightline_completion sightline; echo "${COMPREPLY[@]}"
        [ "$(sightline --show-completion)" = "$(cat ~/.bash_completions/sightline.sh)" ] && echo the same"""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = os.environ | {"HOME": str(tmp_path), "PATH": path}
    done = subprocess.run(["bash", "-c", asked], env=here, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["teach", "--behind-proxy", "the same"], done.stderr


def test_swapped_arguments_are_named(tmp_path: Path) -> None:
    for words in (
        ("evaluate", tmp_path, "a.onnx"),
        ("inspect", "part.png", "a.onnx"),
        ("explain", tmp_path, "a.onnx"),
        ("compare", "a.onnx", tmp_path, "b.onnx"),
        ("teach", "part.png", "chip", "a.onnx", "-o", "b.onnx"),
        ("threshold", tmp_path, "--reason", "x"),
    ):
        assert "a recipe (a file like part.onnx) is expected here" in said(*words), words
    for words in (
        ("train", "a.onnx", "-o", "b.onnx"),
        ("inspect", "a.onnx", "b.onnx"),
        ("data", "check", "a.onnx"),
        ("synthesize", "a.onnx", "-o", "sheet.png"),
    ):
        assert "is a recipe, but data or images are expected here" in said(*words), words


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("train", ".", "-o", "x.txt"), "x.onnx"),
        (("search", ".", "-o", "x"), "x.onnx"),
        (("teach", "a.onnx", "chip", "1.png", "-o", "x.txt"), "x.onnx"),
        (("threshold", "a.onnx", "--reason", "x", "-o", "x.txt"), "x.onnx"),
        (("evaluate", "a.onnx", ".", "--report", "r.pdf"), "r.html"),
        (("explain", "a.onnx", "1.png", "-o", "why.txt"), "why.png"),
        (("synthesize", ".", "-o", "x.txt"), "x.png"),
        (("data", "pick", ".", "-n", "3", "-o", "x.txt"), "x.csv"),
    ],
)
def test_a_file_of_another_kind_is_refused_before_any_work(words: tuple[str, ...], name: str) -> None:
    assert f"Name it {name}" in said(*words)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.5])  # while modules are read, in their C++, while parts are learned
def test_ctrl_c_is_answered(after_s: float, parts_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sightline", "train", str(parts_folder), "-o", str(tmp_path / "x.onnx")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as work:
        assert work.stderr is not None
        line = work.stderr.readline()  # what was found in the data: the work is under way
        assert "plates" in line
        time.sleep(after_s)
        os.kill(work.pid, signal.SIGINT)
        told = work.stderr.read()
    assert work.returncode == 130, told
    assert "stopped by Ctrl-C" in told and "Traceback" not in told
    assert not (tmp_path / "x.onnx").exists()
