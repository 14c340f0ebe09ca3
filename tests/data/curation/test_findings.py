"""Decisions are remembered from one check to the next, by every keeper in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.data.curation.findings import Action, Decision, FileDecisionLog, State, Verb

ONE = Decision("near-1", State.APPLIED, "2025-01-01T00:00:00+00:00", "ünicode", Action(Verb.GROUP, ("a", "b"), "g"))
TWO = Decision("blur-2", State.DISMISSED, "2025-01-02T00:00:00+00:00")


def test_what_is_kept_comes_back_until_it_is_forgotten(tmp_path: Path) -> None:
    decision_log = FileDecisionLog(tmp_path / "new" / "f.json")
    assert decision_log.decisions() == {}
    decision_log.keep(ONE)
    decision_log.keep(TWO)
    assert list(decision_log.decisions().values()) == [ONE, TWO]
    other = Decision("near-1", State.DISMISSED, "2025-01-03T00:00:00+00:00")
    decision_log.keep(other)
    assert list(decision_log.decisions().values()) == [TWO, other]
    decision_log.forget("near-1")
    decision_log.forget("never-there")
    assert list(decision_log.decisions()) == ["blur-2"]


def test_a_file_outlives_its_keeper_and_leaves_no_draft(tmp_path: Path) -> None:
    FileDecisionLog(tmp_path / "f.json").keep(ONE)
    assert FileDecisionLog(tmp_path / "f.json").decisions() == {"near-1": ONE}
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "decisions": [{}]}', '{"version": 99}', "\xff"])
def test_a_damaged_or_newer_file_is_an_error_and_is_not_overwritten(text: str, tmp_path: Any) -> None:
    path = tmp_path / "f.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"f\.json"):
        FileDecisionLog(path).keep(ONE)
    assert path.read_text(encoding="latin-1") == text


def test_the_last_result_is_kept_apart_from_the_decisions(tmp_path: Path) -> None:
    decision_log = FileDecisionLog(tmp_path / "f.json")
    assert decision_log.last() is None
    decision_log.keep_last({"fingerprint": "a"})
    decision_log.keep(ONE)
    decision_log.keep_last({"fingerprint": "b"})
    assert decision_log.last() == {"fingerprint": "b"} and list(decision_log.decisions()) == ["near-1"]


def test_a_result_that_cannot_be_kept_does_not_fail_the_check(tmp_path: Path) -> None:
    (tmp_path / "f.last-check.json").mkdir()
    decision_log = FileDecisionLog(tmp_path / "f.json")
    decision_log.keep_last({"fingerprint": "a"})
    assert decision_log.last() is None
