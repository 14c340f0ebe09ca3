"""What the server says in words, which pages say in German; test_files.py looks for it in the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
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
DID = re.compile(r'\b(?:audit|note)\(\s*(?:\w+,\s*)?(?:"?[\w.]+"?,\s*)?f?"([a-z_]+(?: [a-z]+){0,2})",')
STAGE = re.compile(r'(?:progress\(|of_stage\(\w+,)\s*"([^"]+)"')


def key_of(text: str) -> str:
    """A sentence as the catalogue has it."""
    count = iter(range(1, 10))
    return NUMBER.sub(lambda _: f"{{{next(count)}}}", text)


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
