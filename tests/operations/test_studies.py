"""Studies from the command line: designed, read by people and the machine, closed, signed, written, and guarded."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pypdfium2
import pytest
from tests.improve.studies.aiag import READINGS, REFERENCE
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import ConflictError, ForbiddenError, InputError
from sightline.operations import people, studies
from sightline.store.store import Store
from sightline.store.studies import Appraiser, Reading, Study

PASSWORD = "correct horse battery"


@pytest.fixture
def location(tmp_path: Path) -> tuple[str, None]:
    """A store with people."""
    with Store.open(tmp_path / "store.db") as store:
        people.set_up(store, "eve", PASSWORD)
        for name in ("ann", "bob", "cia"):
            people.add_user(store, name, "operator", PASSWORD, "eve")
    return str(tmp_path / "store.db"), None


def table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in document)
    finally:
        document.close()


def test_the_manuals_study_goes_all_the_way_to_a_signed_pdf(location: tuple[str, None], tmp_path: Path) -> None:
    def call(*words: str) -> dict[str, object]:
        done = CliRunner().invoke(app, ["study", *words, "--db", location[0], "--json"])
        assert done.exit_code == 0, done.output
        found: dict[str, object] = json.loads(done.stdout)
        return found

    parts = table(
        tmp_path / "parts.csv", [{"label": f"p{n}", "reference": ("OK", "NG")[r]} for n, r in enumerate(REFERENCE)]
    )
    names = {"A": "ann", "B": "bob", "C": "cia"}
    who = [word for name in names.values() for word in ("--person", name)]
    assert call("design", "MSA", str(parts), *who)["readings_each"] == 150
    for letter, name in names.items():
        rows: list[dict[str, object]] = [
            {"trial": t + 1, "part": p + 1, "answer": ("OK", "NG")[READINGS[letter][p, t]]}
            for p in range(50)
            for t in range(3)
        ]
        call("record", "1", name, "--protocol", str(table(tmp_path / "read.csv", rows)))
    assert call("show", "1")["done"] == {"ann": 150, "bob": 150, "cia": 150}
    found = call("close", "1", "--author", "eve")
    said = found["result"]
    assert isinstance(said, dict) and said["answer"] == "unacceptable"
    assert [round(one["effectiveness"]["value"], 2) for one in said["figures"]["appraisers"]] == [0.84, 0.90, 0.80]
    assert any("proves no low escape rate" in note for note in said["notes"])
    call("sign", "1", "--as", "eve", "--password", PASSWORD, "--meaning", "approved")
    call("export", "1", "-o", str(tmp_path / "msa.pdf"))
    told = text_of((tmp_path / "msa.pdf").read_bytes())
    for word in ("unacceptable", "84.0 %", "6.3 %", "0.86", "eve", "approved", str(found["hash"])):
        assert word in told, word
    call("export", "1", "-o", str(tmp_path / "msa.html"))
    assert "<svg" in (tmp_path / "msa.html").read_text()
    call("export", "1", "-o", str(tmp_path / "msa.json"))
    kept = json.loads((tmp_path / "msa.json").read_text())
    assert len(kept["content"]["readings"]) == 450 and kept["signatures"][0]["author"] == "eve"
    assert call("verify") == {"ok": True, "broken": ""}


def design(
    location: tuple[str, None], tmp_path: Path, kind: str = "attribute", **changes: object
) -> studies.Progressed:
    rows = [{"label": f"p{n}", "reference": ("OK", "NG")[n % 2], "size": n, "type": "dent"} for n in range(12)]
    values: dict[str, object] = {"trials": 2, **changes}
    appraisers = (Appraiser("ann"), Appraiser("bob"))
    study = Study("x", kind, "p", appraisers, **values)  # type: ignore[arg-type]
    return studies.design(location, study, table(tmp_path / "parts.csv", rows), author="eve")


def test_a_plan_says_how_many_parts_a_claim_needs() -> None:
    done = CliRunner().invoke(app, ["study", "plan", "0.05", "--good", "0.002"])
    assert done.exit_code == 0 and "0 of 59 parts" in done.stdout and "1 of 93 parts" in done.stdout
    assert "Two samples: accept with 0 of" in done.stdout
    told = json.loads(CliRunner().invoke(app, ["study", "plan", "0.01", "--json"]).stdout)
    assert told["parts"] == {"0": 299, "1": 473, "2": 628, "3": 773, "5": 1049} and told["double"] is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [("acceptance", "agreed limits"), ("capability", "a lower or an upper"), ("limit", "the size of every")],
)
def test_what_can_never_be_concluded_is_not_begun(
    location: tuple[str, None], tmp_path: Path, kind: str, told: str
) -> None:
    study = Study("x", kind, "p", (Appraiser("ann"),))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=told):
        studies.design(location, study, table(tmp_path / "parts.csv", [{"label": "a"}]))


def test_who_leaves_is_left_out_and_said_so(location: tuple[str, None], tmp_path: Path) -> None:
    design(location, tmp_path)
    with pytest.raises(InputError, match="nobody has read all parts"):
        studies.close(location, 1)
    assert studies.show(location, 1).study.state == "open"
    for number in range(24 + 15):
        studies.record(location, 1, "ann" if number < 24 else "bob", Reading("OK"))
    found = studies.close(location, 1, "eve", "bob has left")
    assert [one["name"] for one in found["result"]["figures"]["appraisers"]] == ["ann", "bob"]
    assert [one["trials"] for one in found["result"]["figures"]["appraisers"]] == [2, 1]
    assert "bob answered for 3 of 12 parts in trial 2: left out" in found["result"]["notes"]
    assert found["note"] == "bob has left"
    with pytest.raises(ConflictError, match="closed"):
        studies.record(location, 1, "bob", Reading("OK"))


def test_signing_needs_the_password_the_role_and_a_result(location: tuple[str, None], tmp_path: Path) -> None:
    design(location, tmp_path)
    with pytest.raises(ConflictError, match="no result yet"):
        studies.sign(location, 1, "ann", PASSWORD, "performed")
    with pytest.raises(ConflictError, match="no result yet"):
        studies.result(location, 1)
    for _ in range(24):
        studies.record(location, 1, "ann", Reading("NG"))
    studies.close(location, 1, "eve")
    with pytest.raises(ForbiddenError, match="password is wrong"):
        studies.sign(location, 1, "ann", "not the password", "performed")
    with pytest.raises(ForbiddenError, match="needs the role engineer"):
        studies.sign(location, 1, "ann", PASSWORD, "approved")
    assert studies.sign(location, 1, "ann", PASSWORD, "performed").role == "operator"


def test_strangers_and_empty_sources_are_refused(location: tuple[str, None], tmp_path: Path) -> None:
    study = Study("x", "attribute", "p", (Appraiser("mallory"),))
    with pytest.raises(InputError, match="mallory: no user"):
        studies.design(location, study, tmp_path)
    wrong = table(tmp_path / "wrong.csv", [{"label": "a", "colour": "red"}])
    with pytest.raises(InputError, match="colour is not known"):
        studies.design(location, Study("x", "attribute", "p", (Appraiser("ann"),)), wrong)


@pytest.mark.parametrize(
    ("kind", "settings", "answer"),
    [
        ("limit", {}, "grey zone 5 to 6"),
        ("acceptance", {"limits": {"escape": 0.6, "dent": 0.6, "overkill": 0.9}}, "undecided"),
        ("repeatability", {}, "stable"),
        ("capability", {"lower": -10.0, "upper": 30.0}, "undecided"),
    ],
)
def test_each_kind_has_its_result_and_report(
    location: tuple[str, None], tmp_path: Path, kind: str, settings: dict[str, object], answer: str
) -> None:
    design(location, tmp_path, kind, settings=settings)
    for name in ("ann", "bob"):
        for trial in (1, 2):
            with Store.open(*location) as store:
                said = [(trial, n + 1, Reading("NG" if n > 5 else "OK", n + trial / 10)) for n in range(12)]
                store.studies.read_all(1, name, said, name)
    found = studies.close(location, 1, "eve")["result"]
    assert found["answer"] == answer
    assert ("all readings are of one day" in found["notes"]) is (kind == "repeatability")
    for form in ("pdf", "html"):
        assert studies.export(location, 1, tmp_path / f"report.{form}").stat().st_size > 2000


def test_the_machine_reads_by_inspecting_and_knapp_compares_it(
    location: tuple[str, None], tmp_path: Path, parts_folder: Path, recipe_file: Path
) -> None:
    study = Study("K", "knapp", "plates", (Appraiser("ann"), Appraiser("line", "machine")), 2, seed=3)
    found = studies.design(location, study, parts_folder, 10, "eve")
    with Store.open(*location) as store:
        parts = store.studies.parts(1)
        assert [one.reference for one in parts].count("NG") == 5 and all(one.images for one in parts)
        truth = [(t, one.number, Reading(one.reference)) for t in (1, 2) for one in parts]
        store.studies.read_all(1, "ann", truth, "ann")
        assert store.check().orphaned == ()
    assert found.of == 20
    with pytest.raises(InputError, match="no machine"):
        studies.run(location, 1, str(recipe_file), "press")
    done = studies.run(location, 1, str(recipe_file), threads=1)
    assert done.done == {"ann": 20, "line": 20}
    told = studies.close(location, 1, "eve")["result"]
    assert told["figures"]["people_inspections"] == 2 and told["figures"]["reject"]["containers"] == 5
    assert told["answer"] in {"passed", "failed"}
