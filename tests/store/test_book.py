"""The defect book."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.store.book import Page
from sightline.store.store import Store
from sightline.store.tables.line import AuditRow


@pytest.fixture
def sample_id(store: Store, tmp_path: Path) -> int:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 32, 3), np.uint8))
    store.add([Sample(tmp_path / "a.png", False)], "cap")
    with store.reading() as session:
        from sightline.store.tables.labels import SampleRow

        return int(session.query(SampleRow.id).one()[0])


def test_a_page_is_written_and_read_back(store: Store, sample_id: int) -> None:
    page = Page(product="cap", name="scratch", guideline="A line.", examples=(sample_id,), min_mm=0.3, max_mm=2.0)
    written = store.book.write(page, "ann")
    assert store.book.pages("cap") == (written,)
    assert written.author == "ann" and written.updated is not None and written.examples == (sample_id,)
    assert store.book.pages("lid") == ()


def test_a_change_is_audited_with_what_was_there(store: Store) -> None:
    store.book.write(Page(product="cap", name="scratch", guideline="Old."), "ann")
    store.book.write(Page(product="cap", name="scratch", guideline="New."), "ben")
    assert [page.guideline for page in store.book.pages("cap")] == ["New."]
    with store.reading() as session:
        last = session.query(AuditRow).order_by(AuditRow.id.desc()).first()
        assert last is not None and last.author == "ben" and last.details["before"]["guideline"] == "Old."


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (Page(product="cap", name="a", min_mm=2, max_mm=1), "lies above"),
        (Page(product="cap", name="a", min_mm=-1), "negative"),
        (Page(product="cap", name="a", min_mm=float("nan")), "a number of mm"),
        (Page(product="cap", name="a", examples=(99,)), "no sample 99"),
        (Page(product="cap", name=" "), "needs the type's name"),
    ],
)
def test_what_cannot_be_is_refused(store: Store, page: Page, told: str) -> None:
    with pytest.raises(InputError, match=told):
        store.book.write(page, "ann")
    assert store.book.pages("cap") == ()


def test_samples_of_another_product_are_no_examples(store: Store, sample_id: int) -> None:
    with pytest.raises(InputError, match="of lid"):
        store.book.write(Page(product="lid", name="a", examples=(sample_id,)), "ann")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((0.3, 2.0), [False, None, True]), ((None, None), [True] * 3), ((0.3, None), [False, None, None])],
)
def test_size_limits(limits: tuple[float | None, float | None], expected: list[bool | None]) -> None:
    page = Page(product="cap", name="a", min_mm=limits[0], max_mm=limits[1])
    assert [page.counts(length) for length in (0.1, 1.0, 3.0)] == expected
