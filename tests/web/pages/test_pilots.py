"""A pilot in the app: begun with targets and prices, followed by its bounds, ended, signed, and saved as PDF."""

from __future__ import annotations

from collections.abc import Callable

import pypdfium2
from playwright.sync_api import Page, expect
from tests.operations.test_pilot import add_shadow, run_line
from tests.web.conftest import PASSWORD, Served
from tests.web.pages.conftest import Enter
from tests.web.pages.test_studies import refused


def test_a_pilot_goes_from_its_targets_to_the_signed_pdf(
    served: Served, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    store = served.store
    run_line(store, 20, 2)
    store.stations.put("press-3", "http://127.0.0.1:9", "", "ann")
    page = enter("/studies", "engineer")
    page.get_by_role("link", name="Pilots").click()
    page.get_by_role("link", name="press-3").click()
    expect(page.get_by_text("the newest part was judged in pilot mode")).to_be_visible()
    page.get_by_label("Escapes at most").fill("50")
    page.get_by_label("Overkill at most").fill("20")
    page.get_by_label("REVIEW at most").fill("20")
    page.get_by_label("Parts at least").fill("100")
    page.get_by_label("Why it begins although").fill("measured by hand")
    look(page, "pilot-begin")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="How it stands")).to_be_visible()
    for ok, ng in ((20, 4), (60, 10), (70, 6)):
        run_line(store, ok, ng)
    page.reload()
    expect(page.get_by_text("After 170 parts: escapes")).to_be_visible()
    expect(page.get_by_role("img", name="Overkill").locator("polygon")).to_have_count(1)
    look(page, "pilot-running")
    page.evaluate("localStorage.setItem('language', 'de')")
    page.reload()
    told = "Nach 170 Teilen: Durchschlupf höchstens 21,2\u00a0%, Ziel 50,0\u00a0%: erreicht; Pseudofehler höchstens"
    expect(page.get_by_text(told)).to_be_visible()
    expect(page.get_by_text("alle Ziele sind erreicht")).to_be_visible()
    look(page, "pilot-running-german")
    page.evaluate("localStorage.setItem('language', 'en')")
    page.reload()
    page.get_by_label("Decision").select_option("scale")
    page.get_by_label("Note").fill("agreed with the customer")
    page.get_by_role("button", name="End it").click()
    page.get_by_role("button", name="Sign", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What it means").select_option("approved")
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_text("engineer (approved)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="PDF").first.click()
    document = pypdfium2.PdfDocument(download.value.path().read_bytes())
    told = "\n".join(one.get_textpage().get_text_range() for one in document)
    document.close()
    page.wait_for_load_state("networkidle")
    for said in ("Decision: scale", "After 170 parts", "agreed with the customer", "approved"):
        assert said in told


def test_a_pilot_over_the_api_and_what_it_refuses(served: Served) -> None:
    store = served.store
    with served.client("operator") as operator, served.client("engineer") as engineer:
        assert operator.call("GET", "/pilots/press-3/criteria")["criteria"][0]["code"] == "no part"
        assert refused(operator, "POST", "/pilots/press-3", json={})[0] == 403
        status, told = refused(engineer, "POST", "/pilots/press-3", json={})
        assert status == 409 and "not ready for a pilot" in told
        assert refused(engineer, "GET", "/pilots/press-3")[0] == 409
        assert refused(engineer, "POST", "/pilots/press-3", json={"escape": 1.5})[0] == 422
        run_line(store, 12, 1)
        add_shadow(store, "b" * 64, "top")
        assert operator.call("GET", "/pilots/press-3/criteria?shadow=true")["shadow"] == "b" * 64
        form = {"shadow": True, "note": "tried", "prices": {"escape": 40, "review": 0.5}}
        assert engineer.call("POST", "/pilots/press-3", json=form)["content"]["shadow"] == "b" * 64
        found = operator.call("GET", "/pilots/press-3")
        assert (found["advice"], found["reason"]) == ("go on", "too few parts")
        assert found["targets"]["prices"]["escape"] == 40
        assert refused(engineer, "POST", "/pilots/press-3/end", json={"decision": "go on"})[0] == 422
        status, told = refused(engineer, "POST", "/pilots/press-3/end", json={"decision": "stop"})
        assert status == 409 and "the advice is" in told
        ended = engineer.call("POST", "/pilots/press-3/end", json={"decision": "stop", "note": "no more parts"})
        assert [one["id"] for one in operator.call("GET", "/pilots")] == [ended["id"], ended["id"] - 1]
