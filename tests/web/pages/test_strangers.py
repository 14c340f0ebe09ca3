"""What strangers name things is shown as text on every page, and never run."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect
from tests.web.api.test_parts import judged
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.operations.labels import annotate
from sightline.operations.store import add_image
from sightline.runtime.recipe import Recipe
from sightline.store.annotations import Annotation
from sightline.store.book import Page as BookPage

EVIL = "<img src=x onerror=pwned=1><script>pwned=1</script>"


def test_no_name_or_note_runs_on_any_page(served: Served, recipe: Recipe, enter: Enter, parts_folder: Path) -> None:
    store = served.store
    picture = parts_folder / "images/stain/100.png"
    sample = add_image(store, EVIL, "evil.png", picture.read_bytes(), EVIL).id
    annotate(store, sample, Annotation(label="defective", author=EVIL, types=(EVIL,), note=EVIL), None)
    store.book.write(BookPage(product=EVIL, name=EVIL, guideline=f"{EVIL} javascript:pwned=1"), EVIL)
    job = store.jobs.add("check", {"kind": "check", "product": EVIL}, EVIL).id
    store.jobs.cancel(job, EVIL, EVIL)
    card = recipe.card.model_dump(mode="json")
    kept = store.recipes.register(recipe.data, EVIL, EVIL, EVIL, card=card).hash
    judged(served, kept, EVIL, {"top": picture}, serial=EVIL)
    page = enter("/", "administrator")
    told = {
        **dict.fromkeys(("/parts/1", "/samples", f"/samples/{sample}", "/book", f"/jobs/{job}"), EVIL),
        **dict.fromkeys((f"/label/{sample}", "/recipes", "/review", "/site?tab=audit"), EVIL),
    }
    for path, text in told.items():
        page.evaluate("to => { history.pushState(null, '', to); dispatchEvent(new Event('moved')); }", path)
        expect(page.locator("main").get_by_text(text).first).to_be_attached()
        assert page.evaluate("typeof window.pwned") == "undefined", path
        assert page.locator("main img[src=x], main script, main a[href^=javascript]").count() == 0, path
