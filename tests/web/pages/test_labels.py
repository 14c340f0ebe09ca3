"""The label canvas: what is drawn is what is kept, pixel for pixel; and the gallery it is reached from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.core.errors import ConflictError, ForbiddenError, NotFoundError
from sightline.operations.labels import annotate
from sightline.operations.store import add_image
from sightline.store.annotations import Annotation

SIDE = 200


@pytest.fixture
def sample(served: Served) -> int:
    """A sample of 200 x 200 px of the product plates."""
    data = cv2.imencode(".png", np.full((SIDE, SIDE, 3), 90, np.uint8))[1].tobytes()
    return add_image(served.store, "plates", "a<script>alert(1).png", data, "engineer").id


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Draw over the canvas, at places in pixels of the sample."""
    box = page.locator(".draw canvas").bounding_box()
    assert box is not None
    scale = min(box["width"], box["height"]) / SIDE
    places = [
        (box["x"] + box["width"] / 2 + (x - SIDE / 2) * scale, box["y"] + box["height"] / 2 + (y - SIDE / 2) * scale)
        for x, y in points
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def kept(served: Served, sample: int) -> tuple[Annotation, np.ndarray]:
    """The annotation that counts, and its mask."""
    word = served.store.annotations.current([sample])[sample]
    mask = np.zeros((SIDE, SIDE), bool)
    for region in word.regions:
        mask |= region.shape.mask(SIDE, SIDE)
    return word, mask


def test_a_box_and_a_stroke_are_kept_as_they_were_drawn(
    served: Served, sample: int, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    page = enter(f"/label/{sample}", "reviewer")
    page.get_by_label("New type").fill("crack")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Box").click()
    drag(page, (40, 50), (80, 90))
    look(page, "label")
    page.get_by_label("Grade").fill("2")
    page.get_by_role("button", name="Save as defective").click()
    expect(page.get_by_text("defective crack")).to_be_visible()
    word, mask = kept(served, sample)
    assert (word.label, word.types, word.grade, word.author) == ("defective", ("crack",), 2, "reviewer")
    rows, columns = np.nonzero(mask)
    assert abs(rows.min() - 50) <= 1 and abs(rows.max() - 89) <= 1
    assert abs(columns.min() - 40) <= 1 and abs(columns.max() - 79) <= 1
    assert mask.sum() == pytest.approx(1600, rel=0.06)


def test_what_was_drawn_is_undone_by_a_key_and_read_back_later(served: Served, sample: int, enter: Enter) -> None:
    page = enter(f"/label/{sample}", "reviewer")
    page.get_by_role("button", name="Box").click()
    drag(page, (20, 20), (60, 60))
    drag(page, (100, 100), (180, 180))
    page.locator("h1").click()
    page.keyboard.press("u")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Judge it")).to_be_visible()
    first = kept(served, sample)[1]
    assert first.sum() == pytest.approx(1600, rel=0.06)
    page.goto(f"/label/{sample}")
    page.wait_for_selector(".draw canvas")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Judge it")).to_be_visible()
    assert len(served.store.annotations.history(sample)) == 2
    assert (kept(served, sample)[1] == first).all()


@pytest.mark.expects("status of 412")
def test_the_second_of_two_is_told_and_undoes_nothing(served: Served, sample: int, enter: Enter) -> None:
    page = enter(f"/label/{sample}", "reviewer")
    page.wait_for_selector(".draw canvas")
    annotate(served.store, sample, Annotation(label="good", author="second"), None)
    page.keyboard.press("s")
    expect(page.locator(".toast.bad")).to_contain_text("Somebody has labelled it")
    assert kept(served, sample)[0].label == "good"


def test_names_are_shown_as_text_and_never_run(served: Served, sample: int, enter: Enter) -> None:
    annotate(
        served.store, sample, Annotation(label="defective", author="x", types=("<img src=x onerror=alert(1)>",)), None
    )
    page = enter("/samples?product=plates", "operator")
    page.on("dialog", lambda dialog: pytest.fail(f"a name has run: {dialog.message}"))
    expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    page.locator(".thumb a").first.click()
    expect(page.get_by_role("heading", name="a<script>")).to_be_visible()


def test_many_are_moved_at_once_with_a_reason(
    served: Served, enter: Enter, parts_folder: Path, look: Callable[[Page, str], None]
) -> None:
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 255, (40, 40, 3), np.uint8)
        add_image(served.store, "plates", f"{number}.png", cv2.imencode(".png", image)[1].tobytes(), "engineer")
    page = enter("/samples", "engineer")
    page.get_by_label("Choose 0.png").check()
    page.get_by_label("Choose 3.png").check()
    look(page, "samples")
    page.get_by_role("button", name="To test").click()
    page.get_by_label("Why").fill("measured at the supplier")
    page.locator("dialog[open]").get_by_role("button", name="To the test part").click()
    expect(page.get_by_role("toolbar", name="With the chosen ones")).to_be_hidden()
    moved = [one.name for one in served.store.catalogue.page("plates", split="test")]
    assert moved == ["0.png", "3.png"]
    assert any(entry.reason == "measured at the supplier" for entry in served.store.audit.page(limit=20))


def test_a_second_label_is_given_blind_and_engineers_see_how_far_people_agree(
    served: Served, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    numbers = []
    for number in range(8):
        image = np.full((SIDE, SIDE, 3), 60 + 10 * number, np.uint8)
        data = cv2.imencode(".png", image)[1].tobytes()
        numbers.append(add_image(served.store, "plates", f"{number}.png", data, "engineer").id)
        first = Annotation(label="defective", types=("dent",), author="engineer", note="seen by ann")
        annotate(served.store, numbers[-1], first if number % 2 else Annotation(label="good", author="engineer"))
    with served.client("reviewer") as client, pytest.raises(ForbiddenError):
        client.get("/labels/agreement", product="plates")
    page = enter("/agreement", "reviewer")
    page.get_by_role("link", name="Label 8 samples").click()
    for number in range(8):
        expect(page.get_by_text(f"{number + 1} of 8")).to_be_visible()
        expect(page.get_by_role("button", name="dent")).to_be_visible()
        for hidden in ("seen by ann", "It counts as"):
            assert page.locator("main").get_by_text(hidden).count() == 0
        sample = int(page.url.partition("/label/")[2].partition("?")[0])
        page.keyboard.press("o" if sample in (numbers[0], numbers[1], numbers[2], numbers[4], numbers[6]) else "s")
    expect(page.get_by_text("There is no sample that another person has labelled")).to_be_visible()
    for number in numbers:
        assert served.store.annotations.current([number])[number].author == "engineer", "a blind word never counts"
    page = enter("/agreement", "engineer")
    row = page.get_by_role("row").filter(has_text="engineer, reviewer").filter(has_text="defective or good")
    expect(row).to_contain_text("7 / 8")
    expect(row).to_contain_text("0.75")
    expect(page.locator(".thumb")).to_have_count(1)
    look(page, "agreement")


def test_what_was_done_to_many_samples_is_undone_at_once(served: Served, enter: Enter) -> None:
    numbers = []
    for number in range(3):
        data = cv2.imencode(".png", np.full((40, 40, 3), 60 + 10 * number, np.uint8))[1].tobytes()
        numbers.append(add_image(served.store, "plates", f"{number}.png", data, "engineer").id)
    served.store.catalogue.assign(numbers[:1], "test", "engineer")
    annotate(served.store, numbers[1], Annotation(label="defective", types=("dent",), author="reviewer"))
    page = enter("/samples", "engineer")

    def choose_all() -> None:
        for number in range(3):
            page.get_by_label(f"Choose {number}.png").check()

    def do(button: str) -> None:
        choose_all()
        page.get_by_role("button", name=button).click()
        page.get_by_role("dialog").get_by_label("Why").fill("a test")
        page.get_by_role("dialog").get_by_role("button", name=re.compile("To the|Delete")).click()

    def undo() -> None:
        page.locator(".toast").get_by_role("button", name="Undo").last.click()
        expect(page.get_by_text("Taken back.").last).to_be_visible()
        expect(page.locator(".toast button")).to_have_count(0)

    do("To training")
    expect(page.get_by_text("Done with 3 samples.")).to_be_visible()
    assert {served.store.catalogue.get(number).split for number in numbers} == {"train"}
    undo()
    assert [served.store.catalogue.get(number).split for number in numbers] == ["test", None, None]
    do("Delete")
    expect(page.locator(".thumb")).to_have_count(0)
    undo()
    expect(page.locator(".thumb")).to_have_count(3)
    choose_all()
    page.get_by_role("button", name="They are good").click()
    expect(page.get_by_text("3 samples are good now.")).to_be_visible()
    undo()
    expect(page.locator(".thumb .answer.defective")).to_have_count(1)
    current = served.store.annotations.current(numbers)
    assert [current[number].label for number in numbers] == ["unknown", "defective", "unknown"]
    assert current[numbers[1]].types == ("dent",)


def test_only_an_own_word_is_taken_back(served: Served, sample: int) -> None:
    word = annotate(served.store, sample, Annotation(label="good", author="reviewer"))
    with served.client("engineer") as client:
        with pytest.raises(ConflictError, match="made by reviewer"):
            client.call("DELETE", f"/samples/{sample}/annotations/{word.id}")
        with pytest.raises(NotFoundError):
            client.call("DELETE", f"/samples/{sample}/annotations/999")
    with served.client("reviewer") as client:
        client.call("DELETE", f"/samples/{sample}/annotations/{word.id}")
    assert served.store.annotations.current([sample])[sample].label == "unknown"
