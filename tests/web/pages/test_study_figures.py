"""What each kind of study has found stands on its page in the same figures as in its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from tests.operations.test_studies import table
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.operations import studies
from sightline.store.studies import Appraiser, Reading, Study

KINDS: dict[str, dict[str, Any]] = {
    "knapp": {},
    "acceptance": {"limits": {"escape": 0.6, "overkill": 0.9}},
    "repeatability": {},
    "limit": {},
    "capability": {"lower": -10.0, "upper": 30.0},
}
PARTS = 12


def test_figures_of_every_kind_stand_on_the_page(
    served: Served, enter: Enter, look: Callable[[Page, str], None], tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {"label": f"p{n}", "reference": ("OK", "NG")[n > 5], "size": n, "type": "dent"} for n in range(PARTS)
    ]
    file, figures = table(tmp_path / "parts.csv", rows), {}
    for number, (kind, settings) in enumerate(KINDS.items(), start=1):
        people = Appraiser("operator"), Appraiser("line", "machine") if kind == "knapp" else Appraiser("reviewer")
        study = Study(kind, kind, "plates", people, 2, settings=settings)  # type: ignore[arg-type]
        studies.design(served.store, study, file, author="engineer")
        for one in people:
            for trial in (1, 2):
                said = [(trial, n + 1, Reading("NG" if n > 5 else "OK", n + trial / 10)) for n in range(PARTS)]
                served.store.studies.read_all(number, one.name, said, one.name)
        figures[kind] = studies.close(served.store, number, "engineer")["result"]["figures"]
    page = enter("/studies/1", "engineer")
    expected = {
        "knapp": ["Reject zone", "6", "100.0%", "Grey zone between"],
        "acceptance": ["escape", "60.00%", "overkill", "90.00%"],
        "repeatability": [
            "operator, value",
            f"{figures['repeatability']['operator']['value']['within']['value']:.4f}",
            "none",
        ],
        "limit": ["operator", "5", "6"],
        "capability": ["operator", "Cpk", f"{figures['capability']['operator']['cpk']['value']:.2f}"],
    }
    for number, (kind, words) in enumerate(expected.items(), start=1):
        page.goto(f"/studies/{number}")
        shown = page.locator("section", has_text="Result").first
        expect(shown.locator("table").first).to_be_visible()
        for word in words:
            expect(shown).to_contain_text(word)
        if kind in ("knapp", "acceptance"):
            look(page, f"study-{kind}")
    page.evaluate("localStorage.setItem('language', 'de')")
    german = {
        "knapp": ["Ausschusszone (6 Behältnisse): Maschine 100,0\u00a0%", "je Behältnis 2 Prüfungen durch Menschen"],
        "acceptance": ["Vereinbarte Kennzahlen: operator: "],
        "repeatability": ["operator: Streuung 0,", "Teile mit wechselndem Urteil: 0", "von einem Tag"],
        "limit": ["Grauzone 5 bis 6", "Am nächsten an der Grenze liegt p"],
        "capability": ["operator: Ppk 1,48", "aus 24 Werten", "Ppk liegt über 1,33"],
    }
    for number, (kind, words) in enumerate(german.items(), start=1):
        page.goto(f"/studies/{number}")
        shown = page.locator("section", has_text="Ergebnis").first
        for word in words:
            expect(shown).to_contain_text(word)
        if kind == "knapp":
            look(page, "study-knapp-german")
    page.wait_for_load_state("networkidle")
