"""Findings about a product in the store: remembered there, and applied there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.data.curation.finding import Action, Verb
from sightline.data.curation.keeper import Decision, State
from sightline.data.curation.stored import StoreKeeper, apply_to_store
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
    apply_to_store(store, "plates", Action(verb, (target,), value), "ann")
    after = {sample.path: sample for sample in store.samples("plates")}.get(first.path)
    if verb is Verb.REMOVE:
        assert after is None
    elif verb is Verb.SPLIT:
        assert after is not None and after.split == "test"
    else:
        assert after is not None and after.types == (() if value == "good" else ("stain",))


def test_decisions_keep_their_order_and_their_action(store: Store) -> None:
    keeper = StoreKeeper(store, "plates", "ann")
    action = Action(Verb.RELABEL, ("a",), "stain")
    keeper.keep(Decision("label-1", State.APPLIED, "", "sure", action))
    keeper.keep(Decision("near-2", State.DISMISSED, ""))
    keeper.keep(Decision("label-1", State.DISMISSED, "", "not so sure"))
    found = keeper.decisions()
    assert list(found) == ["near-2", "label-1"] and found["label-1"].state is State.DISMISSED
    assert StoreKeeper(store, "other", "ann").decisions() == {}
