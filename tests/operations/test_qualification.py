"""IQ, OQ and PQ of this machine: each check is there, a wrong one fails the whole, and the record is signed."""

from __future__ import annotations

import json
from pathlib import Path

import pypdfium2
import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError
from sightline.data.dataset import DatasetWarning
from sightline.operations import people, qualification
from sightline.store.store import Store

PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with somebody who signs."""
    with Store.open(tmp_path / "store.db") as store:
        people.set_up(store, "eve", PASSWORD)
    return tmp_path / "store.db"


def test_a_qualification_is_run_kept_signed_and_written(
    file: Path, recipe_file: Path, parts_folder: Path, tmp_path: Path
) -> None:
    limits = ["--escape", "0.99", "--overkill", "0.99", "--deadline-ms", "60000", "--threads", "1"]
    words = ["qualify", str(recipe_file), str(parts_folder), *limits, "--db", str(file)]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    checks = {one["name"]: one for one in found["content"]["checks"]}
    assert {one["stage"] for one in checks.values()} == {"IQ", "OQ", "PQ"}
    for name in ("permissions of the store", "a damaged picture", "a signature changed by force", "backup and restore"):
        assert checks[name]["passed"], checks[name]
    assert "at 95 %" in checks["escape"]["found"]
    for words in (["sign", "1", "--as", "eve", "--password", PASSWORD], ["export", "1", "-o", str(tmp_path / "q.pdf")]):
        assert CliRunner().invoke(app, ["records", *words, "--db", str(file)]).exit_code == 0
    document = pypdfium2.PdfDocument(tmp_path / "q.pdf")
    told = "\n".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    for word in ("Installation qualification", "Performance qualification", "Result: passed", "eve", found["hash"]):
        assert word in told, word


def test_a_check_that_fails_fails_the_whole(file: Path, recipe_file: Path, parts_folder: Path) -> None:
    file.chmod(0o644)
    found = qualification.qualify((str(file), None), recipe_file, parts_folder, 1e-4, 0.99, 60_000, "eve", 1)
    checks = {one["name"]: one["passed"] for one in found["content"]["checks"]}
    assert found["content"]["answer"] == "failed"
    assert not checks["permissions of the store"] and not checks["escape"] and checks["overkill"]
    with pytest.warns(DatasetWarning), pytest.raises(InputError, match="good and defective"):
        qualification.qualify((str(file), None), recipe_file, parts_folder / "images" / "stain")
