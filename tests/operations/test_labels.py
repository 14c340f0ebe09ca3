"""The defect book from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import StoreError
from sightline.store.book import Page
from sightline.store.store import Store

RUN = CliRunner()


def test_what_is_not_given_stays_on_the_page(tmp_path: Path) -> None:
    place = str(tmp_path / "labels.db")
    with Store.open(place) as store:
        store.book.write(Page(product="cap", name="crack", guideline="Old.", min_mm=0.3, max_mm=2), "ann")
    command = ["labels", "book", "cap", "crack", "--max-mm", "3", "--author", "ben", "--db", place]
    assert RUN.invoke(app, command, catch_exceptions=False).exit_code == 0
    with Store.open(place) as store:
        (page,) = store.book.pages("cap")
    assert (page.guideline, page.min_mm, page.max_mm, page.author) == ("Old.", 0.3, 3, "ben")


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    place = tmp_path / "typo.db"
    with pytest.raises(StoreError, match="sightline store init"):
        RUN.invoke(app, ["labels", "agree", "cap", "--db", str(place)], catch_exceptions=False)
    assert not place.exists()
