"""Decisions are remembered from one check to the next, by every keeper in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.data.curation.finding import Action, Verb
from sightline.data.curation.keeper import Decision, FileKeeper, MemoryKeeper, State

ONE = Decision("near-1", State.APPLIED, "2025-01-01T00:00:00+00:00", "ünicode", Action(Verb.GROUP, ("a", "b"), "g"))
TWO = Decision("blur-2", State.DISMISSED, "2025-01-02T00:00:00+00:00")


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_what_is_kept_comes_back_until_it_is_forgotten(kind: str, tmp_path: Path) -> None:
    keeper = MemoryKeeper() if kind == "memory" else FileKeeper(tmp_path / "new" / "f.json")
    assert keeper.decisions() == {}
    keeper.keep(ONE)
    keeper.keep(TWO)
    assert list(keeper.decisions().values()) == [ONE, TWO]
    other = Decision("near-1", State.DISMISSED, "2025-01-03T00:00:00+00:00")
    keeper.keep(other)
    assert list(keeper.decisions().values()) == [TWO, other]
    keeper.forget("near-1")
    keeper.forget("never-there")
    assert list(keeper.decisions()) == ["blur-2"]


def test_a_file_outlives_its_keeper_and_leaves_no_draft(tmp_path: Path) -> None:
    FileKeeper(tmp_path / "f.json").keep(ONE)
    assert FileKeeper(tmp_path / "f.json").decisions() == {"near-1": ONE}
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "decisions": [{}]}', '{"version": 99}', "\xff"])
def test_a_damaged_or_newer_file_is_an_error_and_is_not_overwritten(text: str, tmp_path: Any) -> None:
    path = tmp_path / "f.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"f\.json"):
        FileKeeper(path).keep(ONE)
    assert path.read_text(encoding="latin-1") == text
