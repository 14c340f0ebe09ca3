"""The report: one harmless, self-contained, complete file."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate.baseline import Baseline
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.report.gallery import PER_CELL, cells, thumbnail, worst_escapes, worst_overkills
from sightline.evaluate.report.report import write_report
from sightline.evaluate.statistics.comparison_tests import Difference
from sightline.runtime.drawing import scale_of, with_heat

WHEN = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)
HOSTILE = "<script>alert(1)<!--&\"'.png"


class Page(HTMLParser):
    """Collects tags, attributes and visible text; fails the test on unbalanced tags."""

    VOID = frozenset(("meta", "img", "br", "link", "use", "path", "rect", "line", "circle"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def hostile_lot(lot: list[Sample], tmp_path: Path) -> list[Sample]:
    """The known lot with a file name, a type and a broken file that try to be markup."""
    escaped = lot[10]
    path = escaped.path.rename(tmp_path / HOSTILE.replace("/", ""))
    broken = tmp_path / "<img src=x onerror=alert(2)>.png"
    broken.write_bytes(b"x")
    hostile = replace(escaped, path=path, types=("<script>alert(3)</script>",))
    return [*lot[:10], hostile, Sample(broken, False)]


def test_hostile_names_are_shown_and_harmless(inspector: Any, hostile_lot: list[Sample], tmp_path: Path) -> None:
    html = write_report(evaluate(inspector, hostile_lot), tmp_path / "r.html").read_text("utf-8")
    page = Page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "link", "b>A"}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert HOSTILE in page.text
    assert "<script>alert(3)</script>" in page.text
    assert "caps <b>A&B</b>" in page.text


def test_the_file_is_self_contained(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    html = write_report(evaluate(inspector, lot), tmp_path / "r.html").read_text("utf-8")
    page = Page(html)
    for tag, attributes in page.tags:
        for key in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:image/", "#")), (tag, key, value)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    targets = {a["href"] for t, a in page.tags if t == "a" and a.get("href")}
    assert targets == {f"#{a['id']}" for t, a in page.tags if t == "div" and a.get("id")}
    identities = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(identities) == len(set(identities))


def test_the_report_says_what_was_found(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    evaluation = evaluate(inspector, lot)
    text = flat(Page(write_report(evaluation, tmp_path / "r.html", created=WHEN).read_text("utf-8")).text)
    assert "1 of 5 defective parts judged OK: escape 20.0 %, at most 65.7 % at 95 % confidence." in text
    assert "1 of 6 good parts judged NG: overkill 16.7 %, at most 58.2 % at 95 % confidence." in text
    assert "2026-05-04 03:02 UTC" in text
    assert "20 good parts: overkill at most 13.9 % at 95 %." in text
    assert "0123456789abcdef" in text and "4 images, 0 verdicts differ" in text
    for note in evaluation.notes:
        assert flat(note) in text
    for kind in evaluation.types:
        assert kind.name in text
    assert text.count("score (higher = more defective)") == 1


def test_the_report_says_what_learning_gains_over_rules(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    gained = Difference("auroc", 0.81, 0.93, 0.12, 0.01, 0.23, 11, 11, False, 0.95)
    evaluation = replace(evaluate(inspector, lot), baseline=Baseline(gained, 6, 11, 11))
    text = flat(Page(write_report(evaluation, tmp_path / "r.html").read_text("utf-8")).text)
    shown = text[text.index("What learning gains over rules") :]
    assert "0.810" in shown and "0.930" in shown and "+0.120 (+0.010 to +0.230 at 95 %, 11 parts)" in shown


def test_cells_show_the_most_surprising_first(inspector: Any, lot: list[Sample], card: Card) -> None:
    evaluation = evaluate(inspector, lot)
    found = {cell.key: cell for cell in cells(evaluation, scale_of(card))}
    counts = {key: cell.count for key, cell in found.items()}
    assert counts == {
        "good-ok": 4,
        "good-review": 1,
        "good-ng": 1,
        "defective-ok": 1,
        "defective-review": 1,
        "defective-ng": 3,
    }
    assert {key for key, cell in found.items() if cell.wrong} == {"good-ng", "defective-ok"}
    assert [Path(p.name).name for p in found["defective-ng"].pictures] == [
        "scratch0.png",
        "scratch1.png",
        "scratch2.png",
    ]
    assert [Path(p.name).name for p in worst_escapes(evaluation, scale_of(card)).pictures] == ["dent_ok.png"]


def test_a_full_cell_is_cut_and_says_so(inspector: Any, lot: list[Sample], tmp_path: Path, shoot: Any) -> None:
    many = [shoot(f"more{index}.png", 0, False) for index in range(PER_CELL + 3)]
    page = Page(write_report(evaluate(inspector, [*lot, *many]), tmp_path / "r.html").read_text("utf-8"))
    assert f"{PER_CELL + 7}, the {PER_CELL} most surprising shown" in flat(page.text)


def test_without_mistakes_the_closest_parts_are_shown_as_such(inspector: Any, lot: list[Sample], card: Card) -> None:
    evaluation = evaluate(inspector, [lot[0], lot[1], lot[4], lot[6]])
    worst = worst_overkills(evaluation, scale_of(card))
    assert worst.text == "None of 3 readable good parts was judged NG. These came closest to it."
    assert worst.pictures[0].name == f"{lot[0].path.parent.name}/good_review.png", (
        "with the folder: cameras count from 0"
    )


@pytest.mark.parametrize("keep", [slice(0, 6), slice(6, 11), slice(0, 1), slice(10, 11)])
def test_poor_test_sets_still_make_a_report(inspector: Any, lot: list[Sample], tmp_path: Path, keep: slice) -> None:
    evaluation = evaluate(inspector, lot[keep])
    text = flat(Page(write_report(evaluation, tmp_path / "r.html").read_text("utf-8")).text)
    assert "cannot be stated" in text
    assert "nan" not in text.lower().replace("nanometre", "")


@pytest.mark.parametrize("scores", [(np.nan, np.inf), (0.001, 900.0), (5.0, 5.0), (-3.0, -1.0)])
def test_odd_scores_still_make_a_report(
    inspector: Any, lot: list[Sample], tmp_path: Path, scores: tuple[float, float]
) -> None:
    evaluation = evaluate(inspector, lot)
    images = tuple(replace(image, score=scores[image.defective]) for image in evaluation.images)
    page = Page(write_report(replace(evaluation, images=images), tmp_path / "r.html").read_text("utf-8"))
    assert ("nothing to plot" in page.text) == (not np.isfinite(scores[0]))


def test_an_image_that_is_gone_is_named_without_a_picture(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    evaluation = evaluate(inspector, lot)
    for sample in lot:
        sample.path.unlink()
    page = Page(write_report(evaluation, tmp_path / "r.html").read_text("utf-8"))
    assert "dent_ok.png" in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_the_same_evaluation_makes_the_same_file(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    evaluation = evaluate(inspector, lot)
    pages = [write_report(evaluation, tmp_path / name, created=WHEN).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_the_report_appears_whole_or_not_at_all(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    evaluation = evaluate(inspector, lot)
    folder = tmp_path / "new" / "folder"
    write_report(evaluation, folder / "r.html")
    assert [path.name for path in folder.iterdir()] == ["r.html"]
    (folder / "taken").mkdir()
    with pytest.raises(InputError, match="another folder"):
        write_report(evaluation, folder / "taken")
    assert {path.name for path in folder.iterdir()} == {"r.html", "taken"}


def test_heat_has_one_scale_on_which_good_parts_are_not_red(lot: list[Sample], card: Card) -> None:
    scale = scale_of(card)
    assert (scale.low, scale.threshold, scale.high) == (2.0, 4.0, 8.0)
    image = thumbnail(lot[0].path, 320)
    assert image is not None

    def redness(level: float) -> float:
        shown = with_heat(image, np.full((12, 16), level, np.float32), scale).astype(float)
        return float((shown[..., 0] - shown[..., 2]).mean())

    assert np.array_equal(with_heat(image, np.full((12, 16), 1.9, np.float32), scale), image)
    assert redness(3.5) < 20 < redness(4.5) < redness(8.0)
    assert redness(8.0) == redness(80.0) == redness(float("nan"))


def test_thumbnails_are_bounded_and_keep_their_shape(tmp_path: Path, shoot: Any) -> None:
    small = thumbnail(shoot("x.png", 0, False).path, 32)
    assert small is not None
    assert small.shape == (24, 32, 3)
    assert thumbnail(tmp_path / "none.png", 32) is None
