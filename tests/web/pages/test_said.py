"""What the server says in words, which pages say in German; test_files.py looks for it in the catalogue."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.data.curation.findings import Kind, Severity
from sightline.evaluate import preview, thresholds
from sightline.evaluate.statistics.intervals import rate
from sightline.evaluate.thresholds import Targets, calibrate_known, restated, set_thresholds
from sightline.runtime.recipe import Recipe

SRC = Path(__file__).parents[3] / "src" / "sightline"
NUMBER = re.compile(r"\d+(?:\.\d+)?%?")  # as `said` in words.js
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")  # for whatever is filled in
DID = re.compile(r'\b(?:audit|note)\(\s*(?:\w+,\s*)?(?:"?[\w.]+"?,\s*)?f?"([a-z_]+(?: [a-z]+){0,2})",')
STAGE = re.compile(r'(?:progress\(|of_stage\(\w+,)\s*"([^"]+)"')


def key_of(text: str) -> str:
    """A sentence as the catalogue has it."""
    count = iter(range(1, 10))
    return NUMBER.sub(lambda _: f"{{{next(count)}}}", text)


def template(node: ast.AST) -> str | None:
    """A text in the code as the catalogue has it, what is filled in as {a}, {b} and so on; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else f"{{{next(letters)}}}" for part in node.values
    )


def templates() -> set[str]:
    """Every text in the code."""
    nodes = (node for path in SRC.rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    return {text for node in nodes if (text := template(node)) is not None}


def findings() -> set[str]:
    """Reasons and remedies of all findings of a data check: the sentences of its code, which raises none of them."""
    found = set()
    for name in ("check", "duplicates", "label_errors", "photography"):
        tree = ast.parse((SRC / "data" / "curation" / f"{name}.py").read_text())
        apart = [node for node in ast.walk(tree) if isinstance(node, ast.Raise | ast.JoinedStr)]
        apart += [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]  # docstrings, and yields
        inner = {id(one) for node in apart if not isinstance(node, ast.Yield) for one in ast.walk(node)}
        inner -= {id(node) for node in apart if isinstance(node, ast.JoinedStr)}
        told = {template(node) or "" for node in ast.walk(tree) if id(node) not in inner}
        found |= {text for text in told if text.endswith(".") and text.count(" ") > 2}
    return found


def problems() -> set[str]:
    """What pages may be refused with: an error and its remedy. And why a station refuses a part."""
    files = [*(SRC / "web" / "api").glob("*.py"), SRC / "web" / "stations.py", SRC / "operations" / "judges.py"]
    files += [SRC / "operations" / f"{name}.py" for name in ("people", "findings")]
    files += [SRC / "store" / f"{name}.py" for name in ("reviews", "users", "jobs")]
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                found.add(template(node.exc.args[0]) or "")
    remedied = {text for text in found if ". " in text}
    for path in (SRC / "line").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if name in {"refuse", "_refuse", "_not_ready"}:
                told = {template(one) or "" for one in node.args}  # type: ignore[attr-defined]
                remedied |= {text for text in told if re.search("[a-z] [a-z]", text)}
    return remedied


def sentences(recipe: Recipe) -> Iterator[str]:
    """What cards and previews may say of thresholds."""
    rates = [rate(0, 20), rate(9, 20), rate(0, 3000)]
    for overkill, review, escape, photos in product((rate(0, 1), *rates), rates, (None, *rates), (1, 20, 40)):
        yield from thresholds._promises(overkill, review, escape, Targets(), photos)
    yield from calibrate_known(np.arange(9.0), np.arange(9.0), Targets())[1].promises
    for escape in (None, rate(1, 20)):
        yield from restated(recipe.card, recipe.card.band, np.arange(20, dtype=np.float32), escape, []).promises
        yield from thresholds._escapes(escape)
    yield from preview._notes({"good": [], "defective": []})
    yield "known types decide, too, by thresholds of their own: more good parts than counted here may be NG"


def words() -> set[str]:
    """Words by what they are about: what was done, stages of jobs, findings."""
    code = [path.read_text() for path in SRC.rglob("*.py")]
    found = {f"did: {word}" for text in code for word in DID.findall(text)}
    found |= {f"stage: {word}" for text in code for word in STAGE.findall(text)}
    return found | {f"finding: {kind}" for kind in Kind} | {f"severity: {one}" for one in Severity}


def test_a_german_page_says_promises_and_deeds_in_german(served: Served, recipe: Recipe, enter: Enter) -> None:
    band = recipe.card.band
    changed = set_thresholds(recipe, band.low, band.high + 1, "a test", by="ann")
    card = changed.card.model_dump(mode="json")
    kept = served.store.recipes.register(changed.data, "plates", "plates.onnx", "ann", card=card).hash
    page = enter("/", "administrator")
    page.evaluate("localStorage.setItem('language', 'de')")
    page.goto(f"/recipes/{kept}")
    expect(page.get_by_text("zurückgehaltenen guten Teilen liegen über der NG-Grenze")).to_contain_text(
        re.compile(r"höchstens \d+,\d\s%")
    )
    page.goto("/site?tab=audit")
    expect(page.get_by_role("cell", name="Rezept aufgenommen")).to_be_visible()


@pytest.mark.expects("status of 404")
def test_findings_and_refusals_with_words_that_vary_are_said_in_german(served: Served, enter: Enter) -> None:
    german = json.loads((SRC / "web/pages/assets/locale/de.json").read_text())
    assert len(findings()) > 25
    page = enter("/", "administrator")
    page.evaluate("localStorage.setItem('language', 'de')")
    page.reload()
    page.wait_for_selector("aside.rail")
    for text in sorted(findings() | problems()):
        filled, wanted = text, german[text]
        for letter, word in zip("abcdefgh", WORDS, strict=True):
            filled, wanted = (one.replace(f"{{{letter}}}", word) for one in (filled, wanted))
        told = page.evaluate(
            """async text => {
              const main = document.querySelector('script[type=module]').src;
              return (await import(main.replace('main.js', 'words.js'))).said(text);
            }""",
            filled,
        )
        assert told == wanted
    page.goto("/jobs/99")
    expect(page.get_by_role("alert")).to_contain_text("es gibt keinen Auftrag 99")
    page.wait_for_load_state("networkidle")
