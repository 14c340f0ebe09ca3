"""A pilot from its entry criteria to its signed exit, on a line's own record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pypdfium2
import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import ConflictError, InputError
from sightline.core.result import Verdict
from sightline.evaluate.prices import Prices
from sightline.improve.pilot import Targets
from sightline.operations import people, pilot, signing
from sightline.store.inspections import Record
from sightline.store.reviews import Answer
from sightline.store.store import Store

PASSWORD = "correct horse battery"
TARGETS = Targets(0.5, 0.2, 0.2, 100, Prices())


def run_line(store: Store, ok: int, ng: int) -> None:
    """Parts of press-3 in pilot mode; people look at all of them and find the machine right."""
    verdicts = [Verdict.OK] * ok + [Verdict.NG] * ng
    first = store.inspections.newest_id()
    rows = [
        Record(
            station="press-3", verdict=verdict, triggered=datetime.now(UTC), score=1.0, recipe_hash="a" * 64,
            key=f"{first + n}", details={"purpose": "production", "mode": "pilot"},
        )
        for n, verdict in enumerate(verdicts)
    ]  # fmt: skip
    store.inspections.record_many(rows, ng_share=1.0, ok_share=1.0)
    while taken := store.reviews.claim("ann", 50):
        for one in taken:
            assert one.inspection_id is not None
            right = "good" if store.inspections.get(one.inspection_id).verdict is Verdict.OK else "defective"
            store.reviews.answer(one.id, "ann", Answer(label=right))


def add_shadow(store: Store, recipe: str, *views: str) -> None:
    """What a recipe in shadow says of the parts so far: in its last view, each tenth one is NG; the newest part it has
    not judged there."""
    rows = [
        Record(
            station=one.station, verdict=Verdict.NG if view == views[-1] and number % 10 == 1 else one.verdict,
            triggered=one.triggered, score=1.0, recipe_hash=recipe, key=f"{one.key}-shadow-{view}", shadow=True,
            details={"active": str(one.verdict), "views": [{"view": view}]},
        )
        for number, one in enumerate(store.inspections.page(limit=200))
        for view in (views[:1] if number == 0 else views)
    ]  # fmt: skip
    store.inspections.record_many(rows, ng_share=1.0, ok_share=1.0)


def test_a_pilot_of_a_recipe_in_shadow_is_judged_by_what_the_shadow_said(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        run_line(store, 3, 1)
        with pytest.raises(ConflictError, match="no recipe has run in shadow"):
            pilot.begin(store, "press-3", TARGETS, "eve", "tried", shadow=True)
        add_shadow(store, "b" * 64, "first")
        begun = pilot.begin(store, "press-3", TARGETS, "eve", "tried", shadow=True)
        assert begun["content"]["shadow"] == "b" * 64
        assert "in shadow" in [one["name"] for one in begun["content"]["criteria"]]
        run_line(store, 80, 20)
        add_shadow(store, "c" * 64, "other")
        assert pilot.status(store, "press-3")["parts"] == 0  # what another recipe said counts nowhere
        add_shadow(store, "b" * 64, "top", "side")
        found = pilot.status(store, "press-3")
        # 99 parts have both views: of 80 good ones, that the recipe in use let pass, 8 are NG by the shadow.
        assert (found["parts"], found["shadow"]) == (99, "b" * 64)
        goals = {one["name"]: one["estimate"] for one in found["goals"]}
        assert goals["overkill"]["value"] == pytest.approx(8 / 80) and goals["escapes"]["value"] == 0
        assert goals["overkill"]["lower"] > 0
        assert {one["active"] for one in found["rates"]["strata"]} == {"OK", "REVIEW", "NG"}
        assert found["history"][-1]["parts"] == 99
        ended = pilot.end(store, "press-3", "redesign", "eve", "overkill")
        assert b"in shadow: the machine does not hear it" in signing.write(store, ended["id"], "html")


def test_a_pilot_goes_from_its_criteria_to_a_signed_exit(tmp_path: Path) -> None:
    file = tmp_path / "store.db"

    def call(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words, "--db", str(file)])
        assert done.exit_code == code, done.output + str(done.exception)
        return done.stdout

    with Store.open(file) as store:
        people.set_up(store, "eve", PASSWORD)
        with pytest.raises(ConflictError, match="no part within a day"):
            pilot.begin(store, "press-3", TARGETS)
        run_line(store, 20, 2)
        with pytest.raises(ConflictError, match="measured on parts it has not seen"):
            pilot.begin(store, "press-3", TARGETS)
        with pytest.raises(ConflictError, match="has no pilot"):
            pilot.status(store, "press-3")
    said = call("pilot", "begin", "press-3", "--escape", "0.5", "--overkill", "0.2", "--review", "0.2", "--parts",
                "100", "--price", "escape=40", "--note", "measured by hand")  # fmt: skip
    assert "met: pilot mode" in said and "not met: the recipe was measured" in said
    with Store.open(file) as store:
        with pytest.raises(ConflictError, match="has a pilot already"):
            pilot.begin(store, "press-3", TARGETS, note="again")
        run_line(store, 150, 20)
        found = pilot.status(store, "press-3")
        assert found["parts"] == 170 and found["sentence"].startswith("After 170 parts: escapes")
        with pytest.raises(InputError, match="no exit"):
            pilot.end(store, "press-3", "go on")
        with pytest.raises(ConflictError, match="the advice is"):
            pilot.end(store, "press-3", "stop")
    assert "Advice: " in call("pilot", "status", "press-3")
    call("pilot", "end", "press-3", "scale", "--note", "agreed with the customer")
    call("records", "sign", "2", "--as", "eve", "--password", PASSWORD, "--meaning", "approved")
    assert "eve (approved)" in call("records", "show", "--kind", "pilot")
    call("records", "export", "2", "-o", str(tmp_path / "pilot.pdf"))
    document = pypdfium2.PdfDocument(tmp_path / "pilot.pdf")
    told = "\n".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    assert "Decision: scale" in told and "After 170 parts" in told and "approved" in told
    call("records", "export", "1", "-o", str(tmp_path / "begin.json"))
    assert json.loads((tmp_path / "begin.json").read_text())["content"]["note"] == "measured by hand"
