"""`sightline store ...` as its users meet it."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError, StoreError
from sightline.data.dataset import Dataset
from sightline.store.store import Store

run = CliRunner()


@pytest.fixture
def desk(parts_folder, tmp_path, monkeypatch):
    """A folder with the plates that all tests share, in which no store is named by the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("SIGHTLINE_DB", "SIGHTLINE_STORE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "plates").symlink_to(parts_folder)
    return tmp_path


def say(*words):
    result = run.invoke(app, ["store", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def ask(*words):
    return json.loads(say(*words, "--json"))


def facts(dataset, names=True):
    return sorted(
        (
            sample.path.name if names else "",
            sample.path.read_bytes(),
            sample.defective,
            sample.types,
            sample.split or "",
        )
        for sample in dataset
    )


def test_a_dataset_goes_in_is_checked_versioned_and_comes_out_the_same(desk):
    assert ask("init")["database"] == str(desk / "sightline.db")
    added = ask("add", "plates")
    assert (added["product"], added["added"], added["refused"]) == ("plates", 20, 0)
    assert ask("add", "plates")["present"] == 20
    assert ask("check")["ok"]
    version = ask("snapshot", "plates", "--note", "the first")
    assert (version["version"], version["samples"]) == ("plates@1", 20)
    assert ask("versions")[0] == {**version, "recipes": []}
    dataset = Dataset.open("store:plates@1")
    assert dataset.layout == "store"
    assert facts(dataset, names=False) == facts(Dataset.open("plates"), names=False)
    ask("export", "plates@1", "-o", "out", "--format", "csv")
    assert facts(Dataset.open("out"), names=False) == facts(Dataset.open("plates"), names=False)


def test_a_version_can_be_compared_and_brought_back(desk):
    ask("add", "plates")
    ask("snapshot", "plates")
    with Store.open() as store:
        store.catalogue.delete([1], "ann")
        store.catalogue.assign([2, 3], None, "ann")
    ask("snapshot", "plates")
    diff = ask("diff", "plates@1", "plates@2")
    assert (len(diff["removed"]), len(diff["moved"])) == (1, 2)
    assert "1 removed" in say("diff", "plates@1", "plates@2")
    assert ask("rollback", "plates@1")["version"] == "plates@1"
    assert ask("diff", "plates@1", "plates")["removed"] == diff["removed"]  # version 2 is still there
    assert ask("snapshot", "plates")["version"] == "plates@1"


def test_a_backup_is_one_command_and_a_restore_another(desk):
    ask("add", "plates")
    ask("snapshot", "plates")
    assert ask("backup", "backups/monday")["images"] >= 20
    ask("restore", "backups/monday", "--db", "again.db")
    assert ask("check", "--db", "again.db")["ok"]
    assert facts(Dataset.open("store:plates@1")) == facts(Store.open("again.db", create=False).samples("plates@1"))


def test_a_check_fails_where_an_image_is_missing(desk):
    ask("add", "plates")
    with Store.open() as store:
        next(store.samples("plates")).path.unlink()
    result = run.invoke(app, ["store", "check"])
    assert result.exit_code == 1
    assert "1 missing: restore them from a backup" in result.stdout


def test_what_is_refused_is_named_and_the_exit_code_says_so(desk, parts_folder):
    folder = desk / "photos" / "good"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(next(parts_folder.rglob("good/*.png")).read_bytes())
    (folder / "b.png").write_bytes(b"no image")
    result = run.invoke(app, ["store", "add", "photos", "--no-split"])
    assert result.exit_code == 1
    assert "1 samples added" in result.stdout and "b.png" in result.stdout


def test_a_recipe_names_the_version_it_learned(desk, train_tiny):
    ask("add", "plates")
    version = ask("snapshot", "plates", "--freeze-test")
    recipe = train_tiny(Dataset.open("store:plates@1").train)
    recipe.save(desk / "plates.onnx")
    kept = ask("register", "plates.onnx", "plates@1")
    assert (kept["version"], kept["hash"], kept["product"]) == (version["version"], recipe.hash, "plates")
    assert ask("versions")[0]["recipes"] == [{"name": "plates.onnx", "hash": recipe.hash}]
    assert "recipe plates.onnx" in say("versions")


def test_a_recipe_of_other_images_is_not_taken(desk, recipe_file):
    ask("add", "plates", "--test-fraction", "0.6")
    ask("snapshot", "plates", "--freeze-test")
    with pytest.raises(InputError, match="frozen test part"):
        say("register", recipe_file, "plates@1")


def test_a_version_keeps_its_split(desk):
    ask("add", "plates")
    ask("snapshot", "plates", "--freeze-test")
    dataset = Dataset.open("store:plates@1")
    for action in (dataset.split, lambda: dataset.with_train_good(3)):
        with pytest.raises(InputError, match="keeps its split"):
            action()


def test_nothing_is_made_by_a_question(desk):
    for words in (["check"], ["info"], ["versions"], ["snapshot", "plates"], ["backup", "b"]):
        with pytest.raises(StoreError, match="Make one with: sightline store init"):
            say(*words)
    assert sorted(path.name for path in desk.iterdir()) == ["plates"]


def test_info_says_what_is_where(desk):
    say("add", "plates")
    text = say("info")
    assert "plates: 20 samples" in text and str(desk / "sightline-images") in text
    assert ask("info")["rows"]["annotations"] == 20


def test_errors_have_exit_codes(desk):
    words = [sys.executable, "-m", "sightline", "store"]
    for arguments, code in (["check"], 1), (["check", "--db", "mysql://a/b"], 2), (["nothing"], 2):
        result = subprocess.run([*words, *arguments], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stdout) == (code, "")
        assert "Traceback" not in result.stderr


def test_every_command_has_an_example_and_json():
    from sightline.cli.store import store

    for command in store.registered_commands:
        assert "Example: sightline store" in command.callback.__doc__
        assert "as_json" in command.callback.__annotations__


def test_what_is_added_later_goes_where_its_group_is(desk, make_parts):
    def table(each):
        rows = [f"parts/part-{n}.png,good,g{n % 12}" for n in range(12 * each)]
        (desk / "parts.csv").write_text("\n".join(["image,label,group", *rows]) + "\n")

    make_parts(desk / "parts", 48)
    sides = []
    for each in (1, 4):
        table(each)
        ask("add", "parts.csv", "--test-fraction", "0.5" if each == 1 else "0.3")
        with Store.open() as store:
            samples = list(store.samples("parts"))
            sides.append({s.group: {t.split for t in samples if t.group == s.group} for s in samples})
    assert len(samples) == 48 and sides[0] == sides[1]
    assert all(len(side) == 1 for side in sides[1].values())
