"""Docs that cannot lie: the code and the commands of README and docs run as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.data.sample import write

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/tutorial/first-recipe.md", "docs/reference/recipe.md", "docs/how-to/large-images.md"]
PAGES += ["docs/how-to/prepare-data.md", "docs/how-to/rare-defects.md", "docs/how-to/search.md"]
PAGES += ["docs/how-to/known-defects.md", "docs/how-to/explain.md", "docs/how-to/compare.md"]
PAGES += ["docs/how-to/fine-tune.md", "docs/how-to/store.md", "docs/how-to/label.md", "docs/how-to/simulate.md"]
PAGES += ["docs/how-to/sign-recipes.md", "docs/how-to/calibrate.md", "docs/how-to/check-data.md"]
PAGES += ["docs/how-to/set-thresholds.md", "docs/how-to/fleet.md", "docs/how-to/scale-out.md"]
PAGES += ["docs/how-to/edge.md"]
PAGES += ["docs/how-to/faster.md"]  # needs the extra openvino
COMMANDS = {"demo", "train", "search", "evaluate", "compare", "explain", "inspect", "teach", "synthesize", "doctor"}
COMMANDS |= {"batch", "export", "fleet", "plan", "review-plan", "train-all"}
COMMANDS |= {"data", "store", "labels", "run", "simulate", "keys", "sign", "verify", "calibrate", "threshold"}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder in which the docs' names exist: photos/cookies, cookies.onnx, part.png, part.jpg."""
    folder = tmp_path_factory.mktemp("desk")
    write(folder / "photos" / "cookies", "cap", good=16, defects_per_type=1, size=128)
    images = sorted((folder / "photos" / "cookies" / "images").glob("[!g]*/*.png"))
    write(folder / "photos" / "tiles", "cap", good=16, defects_per_type=4, size=128)
    (folder / "photos" / "tiles" / "parts.csv").unlink()  # its own split keeps all defects for the test
    strangers = sorted((folder / "photos" / "tiles" / "images").glob("[!g]*/*.png"))[:5]
    for number, image in enumerate(strangers, start=1):
        (folder / f"chip{number}.png").write_bytes(image.read_bytes())
    for name in ("part.png", "part_0042.png", "part.jpg"):
        (folder / name).write_bytes(images[0].read_bytes())
    command = [sys.executable, "-m", "sightline", "train", "photos/cookies", "-o", "cookies.onnx", "--effort", "quick"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "new.onnx").write_bytes((folder / "cookies.onnx").read_bytes())
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run_as_written(page, desk):
    for code in blocks(page, "python"):
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], cwd=desk, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{page}:\n{code}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_run_as_written(page, desk):
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    for line in "\n".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["sightline"] or words[1] == "demo":  # make demo runs in CI by itself
            continue
        assert words[1] in COMMANDS, line
        result = subprocess.run(words, cwd=desk, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{page}: {line}\n{result.stderr}"


def test_links_inside_the_docs_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_files_and_modules_named_in_architecture_exist():
    """Every path, and every `package.module` in backticks, leads to a file or folder of the package."""
    source, text = ROOT / "src" / "sightline", (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (source / path).exists() and not (ROOT / path).exists()] == []
    dotted = set(re.findall(r"`(\w+(?:\.\w+)+)`", text))
    floors = {path.name for path in source.iterdir() if path.is_dir()}
    modules = {name for name in dotted if name.split(".")[0] in floors and name.split(".")[-1] != "py"}
    assert len(modules) > 30

    def leads_somewhere(name):
        parts = name.split(".")
        while parts[-1][0].isupper():
            parts.pop()
        path = source.joinpath(*parts)
        return path.is_dir() or path.with_suffix(".py").exists() or path.parent.with_suffix(".py").exists()

    assert [name for name in sorted(modules) if not leads_somewhere(name)] == []


def test_every_setting_is_in_the_reference():
    from sightline.train.settings import TrainSettings

    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert [name for name in TrainSettings.model_fields if f"`{name}`" not in text] == []
