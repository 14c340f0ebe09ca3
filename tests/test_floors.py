"""The architecture as a test: imports go down, torch stays in the lab, files stay small."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "sightline"
FLOORS = (
    {"core"},
    {"imaging"},
    {"runtime", "store", "devices"},
    {"data", "evaluate", "line"},
    {"models", "improve"},
    {"train"},
    {"operations"},
    {"web"},
    {"cli"},
    {"__main__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
TORCH = {"models", "train"}
MAX_LINES, MAX_FUNCTION_LINES, MAX_COMMAND_LINES = 400, 60, 15
BENCHMARKS = sorted((SRC.parents[1] / "benchmarks").glob("*.py"))
FILES = sorted(path for path in SRC.rglob("*.py") if path != SRC / "__init__.py")


def unit(path):
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(path):
    """Modules imported anywhere in a file, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1, node.end_lineno - node.body[0].lineno + 1


def test_every_folder_has_a_floor():
    assert {unit(path) for path in FILES} <= set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_file_imports_only_from_lower_floors(path):
    here = unit(path)
    for name in imports(path):
        if name.startswith("sightline.") and (there := name.split(".")[1]) != here and there in FLOOR:
            assert FLOOR[there] < FLOOR[here], f"{path}: {here} must not import {there}"
        assert here in TORCH or name.split(".")[0] != "torch", f"{path}: torch belongs to models/ and train/"


def imported(path, modules):
    """Which of `modules` a file imports; `from package import module` is an import of the module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in modules else node.module for name in names if {name, node.module} & modules)


def cycles(graph):
    """The strongly connected components of a graph in which there is a way from each node to itself."""

    def reach(start):
        found, waiting = set(), [start]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    reached = {name: reach(name) for name in graph}
    return {frozenset(other for other in reached[name] if name in reached[other]) for name in graph} - {frozenset()}


def test_cycles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b", "e"}, "e": set(), "f": {"f", "a"}}
    assert cycles(graph) == {frozenset("bcd"), frozenset("f")}


def test_no_modules_import_each_other():
    """Lazy and typing-only imports count: modules that need each other are one module, or a third is missing."""
    files = {".".join(("sightline", *path.relative_to(SRC).with_suffix("").parts)): path for path in FILES}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph = {name: set(imported(path, files.keys())) for name, path in files.items()}
    assert cycles(graph) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_stay_small(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES
    for name, lines, _ in functions(path):
        assert lines <= MAX_FUNCTION_LINES, f"{path}: {name} has {lines} lines"


def test_commands_stay_small():
    for path in (SRC / "cli").glob("[!t]*.py"):  # but for text_*.py, which word what they print
        for name, _, body in functions(path):
            assert body <= MAX_COMMAND_LINES, f"{path.name}: {name} has {body} lines"


def test_no_file_is_called_after_nothing():
    assert not [path for path in FILES if path.stem in {"utils", "util", "misc", "helpers", "common", "manager"}]


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_line_side_needs_no_torch_and_no_training_package():
    banned = ("torch", "sklearn", "scipy", "onnx", "matplotlib", "jinja2", "optuna")
    code = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in banned)
    line_side = ("core.card", "runtime.inspector", "runtime.recipe", "data.dataset", "evaluate.evaluating", "cli")
    line_side += ("evaluate.explain.explaining",)
    line_side += ("web.api.app", "web.server", "web.client")
    line_side += ("devices.cameras.table", "devices.sinks.table", "devices.outbox")
    code += "".join(f"import sightline.{name}\n" for name in line_side)
    result = run(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("statement", ["import sightline", "import sightline.cli"])
def test_starting_imports_nothing_heavy(statement):
    heavy = ("numpy", "cv2", "onnxruntime", "pydantic", "torch", "sklearn", "scipy", "matplotlib", "onnx")
    result = run(
        f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules], len(sys.modules))"
    )
    loaded, count = result.stdout.rsplit("]", 1)
    assert loaded == "[", result.stdout + result.stderr
    assert int(count) < 900


def test_importing_sightline_loads_few_modules():
    code = "import sys; before = len(sys.modules); import sightline; print(len(sys.modules) - before)"
    assert int(run(code).stdout) < 60


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_a_benchmark_imports_what_exists(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "sightline":
            try:
                module = importlib.import_module(node.module)
            except ModuleNotFoundError as error:  # a GPU's packages are not everywhere
                assert not str(error.name).startswith("sightline"), error
                continue
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
