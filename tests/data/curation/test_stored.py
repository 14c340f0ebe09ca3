"""Findings about a product in the store: remembered there, and applied there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.findings import Action, Decision, State, Verb
from sightline.data.curation.stored import StoreDecisionLog, apply_all
from sightline.data.dataset import Dataset
from sightline.store.store import Store

RUN = CliRunner()


@pytest.fixture
def store(tmp_path: Path, draw: Any, write: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Twelve good plates, one of them twice under two names with a grain of difference, four with a flaw."""
    folder = tmp_path / "plates"
    for seed in range(12):
        write(folder / f"good/{seed:02}.png", draw(seed)[0])
    write(folder / "good/again.png", draw(3)[0] ^ 1)
    for seed in range(100, 104):
        write(folder / f"stain/{seed}.png", draw(seed, flawed=True)[0])
    monkeypatch.setenv("SIGHTLINE_DB", str(tmp_path / "parts.db"))
    with Store.open() as one:
        one.add(Dataset.open(folder, split=False), "plates", root=folder)
        yield one


def check(*words: str) -> dict[str, Any]:
    command = ["data", "check", "store:plates", "--backbone", "none", "--json", *words]
    result = RUN.invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_duplicate_is_grouped_in_the_store_and_remembered(store: Store) -> None:
    near = next(one for one in check()["findings"] if one["kind"] in ("near", "copy"))
    assert near["subjects"][0].startswith("images/")
    done = check("--apply", near["key"], "--note", "the same plate")
    assert done["table"] is None and [one["key"] for one in done["decisions"]] == [near["key"]]
    samples = list(store.samples("plates"))
    hashes = {Path(name).stem for name in near["action"]["targets"]}
    touched = [sample for sample in samples if sample.path.stem in hashes]
    if near["action"]["verb"] == "group":
        assert len({sample.group for sample in touched}) == 1 and touched[0].group is not None
    else:
        assert not touched
    assert near["key"] not in [one["key"] for one in check()["findings"]]


def test_a_dismissed_finding_stays_away_until_it_is_reopened(store: Store) -> None:
    key = check()["findings"][0]["key"]
    check("--dismiss", key)
    assert key not in [one["key"] for one in check()["findings"]]
    check("--reopen", key)
    assert key in [one["key"] for one in check()["findings"]]


def test_a_version_is_not_changed(store: Store) -> None:
    store.versions.snapshot("plates", author="ann")
    near = next(one for one in check()["findings"] if one["action"]["verb"] != "none")
    command = ["data", "check", "store:plates@1", "--backbone", "none", "--apply", near["key"]]
    result = RUN.invoke(app, command)
    assert result.exit_code != 0 and "never changes" in str(result.exception)


@pytest.mark.parametrize(
    ("verb", "value"), [(Verb.REMOVE, ""), (Verb.RELABEL, "stain"), (Verb.RELABEL, "good"), (Verb.SPLIT, "test")]
)
def test_every_action(store: Store, verb: Verb, value: str) -> None:
    first = next(iter(store.samples("plates")))
    target = f"images/{first.path.parent.name}/{first.path.name}"
    apply_all(store, "plates", [Action(verb, (target,), value)], "ann")
    after = {sample.path: sample for sample in store.samples("plates")}.get(first.path)
    if verb is Verb.REMOVE:
        assert after is None
    elif verb is Verb.SPLIT:
        assert after is not None and after.split == "test"
    else:
        assert after is not None and after.types == (() if value == "good" else ("stain",))


def test_decisions_keep_their_order_and_their_action(store: Store) -> None:
    decision_log = StoreDecisionLog(store, "plates", "ann")
    action = Action(Verb.RELABEL, ("a",), "stain")
    decision_log.keep(Decision("label-1", State.APPLIED, "", "sure", action))
    decision_log.keep(Decision("near-2", State.DISMISSED, ""))
    decision_log.keep(Decision("label-1", State.DISMISSED, "", "not so sure"))
    found = decision_log.decisions()
    assert list(found) == ["near-2", "label-1"] and found["label-1"].state is State.DISMISSED
    assert StoreDecisionLog(store, "other", "ann").decisions() == {}


def target(path: Path, number: int = 1) -> str:
    return f"images/{path.parent.name}/{path.name}" + (f"#{number}" if number > 1 else "")


@pytest.mark.parametrize(
    ("value", "label", "types", "grade"),
    [("defect", True, (), None), ("a;b", True, ("a", "b"), None), ("grade 2", True, (), 2), ("grade 0", False, (), 0)],
)
def test_a_label_means_in_the_store_what_it_means_in_a_table(
    store: Store, value: str, label: bool, types: tuple[str, ...], grade: int | None
) -> None:
    first = next(iter(store.samples("plates")))
    apply_all(store, "plates", [Action(Verb.RELABEL, (target(first.path),), value)], "ann")
    after = next(sample for sample in store.samples("plates") if sample.path == first.path)
    assert (after.defective, after.types, after.grade) == (label, types, grade)


def test_of_two_copies_none_is_taken_for_the_other(store: Store, tmp_path: Path) -> None:
    first = next(iter(store.samples("plates")))
    copy = tmp_path / "copy.png"
    copy.write_bytes(first.path.read_bytes())
    store.add([Sample(copy, False)], "plates")
    out = Action(Verb.REMOVE, (target(first.path, 2),))
    apply_all(store, "plates", [out, out, Action(Verb.GROUP, (target(first.path, 2),), "g")], "ann")
    left = [sample for sample in store.samples("plates") if sample.path == first.path]
    assert len(left) == 1 and left[0].group is None
    with pytest.raises(InputError, match="Run the check again"):
        apply_all(store, "plates", [out], "ann")


def test_what_the_store_refuses_is_not_remembered_as_applied(store: Store) -> None:
    version = store.versions.snapshot("plates", author="ann")
    near = next(one for one in check()["findings"] if one["action"]["verb"] != "none")
    for name in (version.name, version.hash[:12]):
        result = RUN.invoke(app, ["data", "check", f"store:{name}", "--backbone", "none", "--apply", near["key"]])
        assert "never changes" in str(result.exception)
    found = check()
    assert not found["decisions"] and near["key"] in [one["key"] for one in found["findings"]]


def test_a_table_of_a_product_is_the_product_as_it_is_now(store: Store, tmp_path: Path) -> None:
    first = next(iter(store.samples("plates")))
    action = Action(Verb.SPLIT, (target(first.path),), "train")
    StoreDecisionLog(store, "plates", "ann").keep(Decision("leakage-1", State.APPLIED, "", "", action))
    store.catalogue.assign(range(1, 18), "test", "ann")
    check("-o", str(tmp_path / "now.csv"))
    assert {sample.split for sample in Dataset.open(tmp_path / "now.csv")} == {"test"}


def test_decisions_about_the_store_are_kept_nowhere_else(store: Store, tmp_path: Path) -> None:
    command = ["data", "check", "store:plates", "--backbone", "none", "--findings", str(tmp_path / "f.json")]
    result = RUN.invoke(app, command)
    assert isinstance(result.exception, InputError) and "Leave out --findings" in str(result.exception)


def test_people_read_names_and_programs_hashes(store: Store, tmp_path: Path) -> None:
    near = next(one for one in check()["findings"] if one["kind"] in ("near", "copy"))
    assert all(name.startswith("images/") for name in near["subjects"])
    names = check()["names"]
    assert {names[Path(name).stem] for name in near["subjects"]} == {"good/03.png", "good/again.png"}
    report = tmp_path / "check.html"
    words = ["data", "check", "store:plates", "--backbone", "none", "--report", str(report)]
    message = RUN.invoke(app, words, catch_exceptions=False).stdout
    for text in (message, re.sub('href="[^"]*"', "", report.read_text(encoding="utf-8"))):
        assert "good/again.png" in text and Path(near["subjects"][0]).stem not in text


def test_a_decision_in_the_store_does_not_wait_for_another_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = check()
    monkeypatch.setattr("sightline.data.curation.image_statistics.read_statistics", None)
    key = next(one["key"] for one in first["findings"] if one["kind"] in ("near", "copy"))
    done = check("--apply", key)
    assert [one["key"] for one in done["decisions"]] == [key]
