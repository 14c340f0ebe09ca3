"""Parts that look alike stand beside a review and below a part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tests.web.api.test_parts import judged
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.runtime.inspector import Inspector
from sightline.store.embeddings import pack


@pytest.fixture
def alike(served: Served, kept: str, judge: Inspector, parts_folder: Path, tmp_path: Path) -> tuple[Served, list[str]]:
    """A server with three pictures of a stained part and three of a good one, by turns, whose embeddings are known."""
    shown = [cv2.imread(str(parts_folder / "images" / file)) for file in ("stain/100.png", "good/00.png")]
    hashes = []
    for number in range(6):
        file = tmp_path / f"{number}.png"
        noise = np.random.default_rng(number).normal(0, 2, shown[0].shape)
        cv2.imwrite(str(file), (shown[number % 2] + noise).clip(0, 255).astype(np.uint8))
        part = judged(served, kept, f"k{number}", {"top": file}, serial=f"S{number}")
        hashes.append(served.store.inspections.get(part).image_hash or "")
        embedding = pack(judge.inspect(file).embedding)
        served.store.embeddings.keep(f"k{number}", "top", hashes[-1], kept, embedding)
    return served, hashes


def test_the_route_finds_stained_parts_by_a_stained_one(alike: tuple[Served, list[str]]) -> None:
    served, hashes = alike
    with served.client("operator") as client:
        found = client.get(f"/images/{hashes[0]}/similar", limit=5)
        assert len(found) == 5
        assert {one["inspection"] for one in found[:2]} == {3, 5}, "the other stained ones"
        assert found[0]["similarity"] > 0 > found[-1]["similarity"]
        assert client.get(f"/images/{hashes[0]}/similar", answered=True) == []
        assert client.get(f"/images/{'0' * 64}/similar") == []


def test_they_are_shown_and_lead_to_their_parts(
    alike: tuple[Served, list[str]], enter: Enter, look: Callable[[Page, str], None]
) -> None:
    served, _ = alike
    with served.client("engineer") as client:
        claimed = client.post("/reviews/claim", {"count": 6})
        for review in claimed[1:]:
            answer = "defective" if review["inspection_id"] % 2 else "good"
            client.post(f"/reviews/{review['id']}/answer", {"answer": answer, "types": ["stain"] * (answer != "good")})
        client.post(f"/reviews/{claimed[0]['id']}/skip", {})
    page = enter("/review", "reviewer")
    before = page.locator(".similar li")
    expect(before).to_have_count(5)
    expect(page.get_by_text("look most like this part")).to_be_visible()
    for number in range(2):
        expect(before.nth(number)).to_contain_text("stain")
    look(page, "review-alike")
    page.goto("/parts/1")
    likes = page.locator(".thumbs.few .thumb")
    expect(likes).to_have_count(5)
    look(page, "part-alike")
    likes.first.click()
    expect(page.locator("h1")).to_contain_text("S")
    assert page.url.rpartition("/")[2] in {"3", "5"}
