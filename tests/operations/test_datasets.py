"""`sightline data` at work: findings are applied, dismissed and remembered, and the report shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError
from sightline.data.curation import image_statistics
from sightline.data.dataset import Dataset

RUN = CliRunner()


@pytest.fixture
def plates(tmp_path: Path, draw: Any, write: Any) -> Path:
    """Twelve good plates, six with a flaw; one good one is a copy, one is out of focus."""
    folder = tmp_path / "plates"
    for seed in range(12):
        write(folder / f"good/{seed:02}.png", draw(seed)[0])
    for seed in range(100, 106):
        write(folder / f"stain/{seed}.png", draw(seed, flawed=True)[0])
    (folder / "good/copy.png").write_bytes((folder / "good/03.png").read_bytes())
    write(folder / "good/soft.png", np.asarray(cv2.GaussianBlur(draw(50)[0], (0, 0), 5), np.uint8))
    return folder


def check(*words: Any) -> dict[str, Any]:
    result = RUN.invoke(
        app, ["data", "check", *map(str, words), "--backbone", "none", "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_findings_are_applied_dismissed_remembered_and_reopened(plates: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in plates.rglob("*.png")}
    first = check(plates)
    keys = {finding["kind"]: finding["key"] for finding in first["findings"]}
    assert {"copy", "blur"} <= set(keys) and first["table"] is None
    second = check(plates, "--apply", keys["copy"], "--dismiss", keys["blur"], "--note", "the old lens")
    assert {f["key"] for f in second["findings"]} == {f["key"] for f in first["findings"]} - {
        keys["copy"],
        keys["blur"],
    }
    assert [(d["state"], d["note"]) for d in second["decisions"]] == [
        ("applied", "the old lens"),
        ("dismissed", "the old lens"),
    ]
    names = {sample.path.name for sample in Dataset.open(second["table"])}
    assert "copy.png" not in names and {"03.png", "soft.png"} <= names
    assert Path(second["table"]) == tmp_path / "plates-corrected.csv"
    third = check(plates, "--reopen", keys["copy"])
    assert keys["copy"] in {f["key"] for f in third["findings"]} and len(third["decisions"]) == 1
    assert "copy.png" in {sample.path.name for sample in Dataset.open(third["table"])}
    assert {path: path.read_bytes() for path in plates.rglob("*.png")} == before


def test_the_corrected_table_has_no_such_finding_any_more(plates: Path) -> None:
    first = check(plates)
    copies = [f["key"] for f in first["findings"] if f["kind"] == "copy"]
    table = check(plates, *[word for key in copies for word in ("--apply", key)])["table"]
    assert "copy" not in {f["kind"] for f in check(table)["findings"]}


def test_a_key_that_does_not_exist_is_an_error(plates: Path) -> None:
    for option in ("--apply", "--dismiss", "--reopen"):
        with pytest.raises(InputError, match="blur-0"):
            check(plates, option, "blur-0")


def test_the_report_holds_every_kind_and_no_foreign_link(plates: Path, tmp_path: Path) -> None:
    (plates / "good/bad<b>.png").write_bytes(b"no image")
    report = tmp_path / "check.html"
    found = check(plates, "--report", report)
    page = report.read_text()
    assert "Exact copies" in page and "Out of focus" in page and "data:image/webp" in page
    assert all(finding["key"] in page for finding in found["findings"])
    assert "http" not in page.replace("http-equiv", "") and "bad<b>" not in page and "bad&lt;b&gt;" in page


def test_text_for_people_and_coverage(plates: Path) -> None:
    result = RUN.invoke(app, ["data", "check", str(plates), "--backbone", "none"], catch_exceptions=False)
    assert "Exact copies: 1" in result.stdout and "--dismiss KEY" in result.stdout
    cover = RUN.invoke(app, ["data", "cover", str(plates), "--backbone", "none"], catch_exceptions=False)
    assert "What to photograph next:" in cover.stdout and "'stain'" in cover.stdout


def test_pick_writes_a_list_and_goes_on_from_it(plates: Path, tmp_path: Path) -> None:
    words = ["data", "pick", str(plates), "-n", "4", "--threads", "1", "--json"]
    first = RUN.invoke(app, [*words, "-o", str(tmp_path / "a.csv")], catch_exceptions=False)
    more = RUN.invoke(app, [*words, "-o", str(tmp_path / "b.csv"), "--start", str(tmp_path / "a.csv")])
    one, two = (set(json.loads(result.stdout)["images"]) for result in (first, more))
    assert len(one) == len(two) == 4 and not one & two
    assert len(Dataset.open(tmp_path / "b.csv", split=False)) == 4


def test_a_recipe_can_say_what_looks_alike(parts_folder: Path, recipe_file: Path, tmp_path: Path) -> None:
    words = ["data", "check", str(parts_folder), "--recipe", str(recipe_file), "--findings", str(tmp_path / "f.json")]
    result = RUN.invoke(app, [*words, "--threads", "1", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["images"] == 20


def test_one_finding_is_one_finding(plates: Path) -> None:
    (plates / "good/soft.png").unlink()
    said = RUN.invoke(app, ["data", "check", str(plates), "--backbone", "none"], catch_exceptions=False).stdout
    assert "1 finding in 19 readable images." in said


def test_a_picture_of_the_report_opens_the_file_itself(plates: Path, tmp_path: Path) -> None:
    check(plates, "--report", tmp_path / "check.html")
    assert f'href="{(plates / "good/soft.png").resolve().as_uri()}"' in (tmp_path / "check.html").read_text()


def test_a_decision_does_not_wait_for_another_look(plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = check(plates)
    looks: list[int] = []
    real = image_statistics.read_statistics
    monkeypatch.setattr(image_statistics, "read_statistics", lambda *a, **k: looks.append(1) or real(*a, **k))
    key = next(f["key"] for f in first["findings"] if f["kind"] == "copy")
    second = check(plates, "--apply", key)
    assert not looks
    assert [f for f in first["findings"] if f["key"] != key] == second["findings"]
    assert (second["images"], second["unreadable"]) == (first["images"], first["unreadable"])
    again = check(second["table"])  # another dataset has a result of its own
    assert len(looks) == 1 and again["images"] == first["images"] - 1


def test_what_has_changed_is_looked_at_again_and_said(plates: Path, draw: Any, write: Any) -> None:
    check(plates)
    words = ["data", "check", str(plates), "--backbone", "none"]
    assert "made again" not in RUN.invoke(app, words, catch_exceptions=False).output
    write(plates / "good/05.png", np.asarray(cv2.GaussianBlur(draw(5)[0], (0, 0), 5), np.uint8))
    result = RUN.invoke(app, words, catch_exceptions=False)
    assert "have changed since the last check" in result.output and "good/05.png" in result.stdout
    (plates / "good/06.png").rename(plates / "stain/06.png")
    assert "have changed since the last check" in RUN.invoke(app, words, catch_exceptions=False).output


def test_a_damaged_result_is_found_out_again(plates: Path, tmp_path: Path) -> None:
    first = check(plates)
    kept = tmp_path / "plates.sightline-findings.last-check.json"
    fingerprint = json.loads(kept.read_text())["fingerprint"]
    for text in ("", "[]", "{}", json.dumps({"fingerprint": fingerprint, "findings": [{}]})):
        kept.write_text(text)
        assert check(plates) == first
