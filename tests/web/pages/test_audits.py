"""A product audit on a phone: photos, the model's opinion after the person's, a deviation, a signature and its PDF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pypdfium2
import pytest
from playwright.sync_api import Page, expect
from tests.conftest import draw_part
from tests.web.conftest import PASSWORD, Served
from tests.web.pages.conftest import Enter
from tests.web.pages.test_studies import refused

from sightline.operations.store import add_image


def photo(flawed: bool = False) -> bytes:
    """A picture of a plate."""
    return cv2.imencode(".png", draw_part(3, flawed)[0][..., ::-1])[1].tobytes()


STEPS = [
    {"title": "Front side", "about": "no scratch"},
    {"title": "Gap", "photo": False, "unit": "mm", "lower": 0.2, "upper": 0.6},
]


def plan(served: Served, recipe: str | None, blind: bool = True) -> None:
    with served.client("engineer") as client:
        form = {"product": "plates", "name": "shipping", "steps": STEPS, "recipe": recipe, "blind": blind}
        client.call("POST", "/audit-plans", json=form)


def test_an_audit_goes_from_photo_to_signature(
    served: Served, kept: str, enter: Enter, look: Callable[[Page, str], None], tmp_path: Path
) -> None:
    plan(served, kept)
    (tmp_path / "front.png").write_bytes(photo())
    page = enter("/audits", "reviewer")
    page.get_by_label("Part").fill("S-17")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="1. Front side")).to_be_visible()
    page.get_by_label("Take a photo").set_input_files(tmp_path / "front.png")
    expect(page.get_by_alt_text("Photo of this part")).to_be_visible()
    assert page.get_by_text("The model says").count() == 0
    look(page, "audit-step")
    page.get_by_role("button", name="OK", exact=True).click()
    expect(page.get_by_text("You said OK; the model says")).to_be_visible()
    page.get_by_label("Measured value, mm").fill("0.8")
    page.get_by_label("Reason").fill("too wide")
    page.get_by_role("button", name="NG", exact=True).click()
    page.get_by_role("button", name="Close the audit").click()
    page.get_by_role("button", name="Sign", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_text("reviewer (performed)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="PDF").click()
    document = pypdfium2.PdfDocument(download.value.path().read_bytes())
    told = "\n".join(one.get_textpage().get_text_range() for one in document)
    document.close()
    for word in (
        "Audit of plates S-17",
        "Result: 1 deviation",
        "1. Front side: OK",
        "too wide",
        "0.8 mm",
        "after the person",
        "reviewer",
    ):
        assert word in told, word
    page.goto("/audits")
    page.get_by_label("What was done").fill("stopped the lot")
    look(page, "audits")
    page.get_by_role("button", name="It is done").click()
    expect(page.get_by_text("To follow up")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    (done,) = served.store.product_audits.deviations()
    assert (done.state, done.note, done.done_by) == ("done", "stopped the lot", "reviewer")
    assert served.store.check().orphaned == () and served.store.records.verify().broken == ""


def test_the_plan_is_made_on_its_page_with_a_limit_sample_that_is_shown_and_reported(
    served: Served, enter: Enter, look: Callable[[Page, str], None], tmp_path: Path
) -> None:
    sample = add_image(served.store, "plates", "limit.png", photo(), "ann")
    page = enter("/audits/new", "engineer")
    page.get_by_label("Product").fill("plates")
    page.get_by_label("Name of the plan").fill("shipping")
    page.get_by_label("What to look at").fill("Front side")
    page.get_by_label("Unit of a measured value").fill("mm")
    page.get_by_label("Upper limit").fill("0.6")
    (tmp_path / "limit.png").write_bytes(photo(flawed=True))
    page.get_by_label("picture from this device").set_input_files(tmp_path / "limit.png")
    expect(page.get_by_alt_text("Limit sample")).to_be_visible()
    page.wait_for_load_state("networkidle")
    look(page, "audit-plan")
    page.get_by_role("button", name="One more step").click()
    page.get_by_label("What to look at").nth(1).fill("Back side")
    page.get_by_label("number of a sample").fill(str(sample.id))
    page.get_by_role("button", name="Take this sample").click()
    expect(page.get_by_alt_text("Limit sample")).to_have_count(2)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_alt_text("Limit sample")).to_be_visible()
    page.get_by_label("Take a photo").set_input_files(tmp_path / "limit.png")
    expect(page.get_by_alt_text("Photo of this part")).to_be_visible()
    look(page, "audit-limit-sample")
    page.wait_for_load_state("networkidle")
    (made,) = served.store.product_audits.plans()
    first, second = made.steps
    assert made.blind and first.upper == 0.6 and first.photo and second.limit_sample == sample.hash
    assert first.limit_sample is not None and first.limit_sample != sample.hash
    assert served.store.check().orphaned == ()  # named by the plan, so kept
    with served.client("operator") as client:
        for step in (1, 2):
            hash = client.http.post("/product-audits/1/photos", content=photo()).json()["hash"]
            said = {"answer": "OK", "photo": hash, "value": 0.5}
            client.call("POST", f"/product-audits/1/steps/{step}", json=said)
        record = client.call("POST", "/product-audits/1/close")
        report = client.http.get(f"/records/{record['id']}/report", params={"form": "html"}).text
        assert f"Limit sample, SHA-256 {first.limit_sample[:16]}" in report and report.count("<img") == 4
        refusal = client.http.post("/audit-plans/pictures", content=photo())
        assert refusal.status_code == 403
    with served.client("engineer") as client:
        assert client.http.post("/audit-plans/pictures", content=b"no picture").status_code == 422


@pytest.mark.parametrize("blind", [True, False])
def test_the_model_speaks_when_the_plan_says_so(served: Served, kept: str, blind: bool) -> None:
    plan(served, kept, blind)
    with served.client("operator") as client:
        client.call("POST", "/product-audits", json={"plan": 1})
        sent = client.http.post("/product-audits/1/photos", content=photo(flawed=True)).json()["hash"]
        answer = client.http.post("/product-audits/1/steps/1/opinion", json={"photo": sent})
        assert answer.status_code == (409 if blind else 200), answer.text
        said = {"answer": "NG", "reason": "stain", "photo": sent}
        found = client.call("POST", "/product-audits/1/steps/1", json=said)["findings"][0]
        assert found["opinion"]["verdict"] in {"OK", "NG", "REVIEW"} and found["opinion"]["seen_before"] is not blind
        for wrong, status, word in (
            ({"step": 1, **said}, 409, "no answer is changed"),
            ({"step": 2, "answer": "OK"}, 422, "needs a value"),
            ({"step": 2, "answer": "OK", "value": 0.9}, 422, "outside its limits"),
            ({"step": 2, "answer": "NG", "value": 0.9}, 422, "say why"),
            ({"step": 2, "answer": "OK", "value": 0.5, "photo": "0" * 64}, 422, "none of audit"),
            ({"step": 3, "answer": "OK"}, 422, "no step 3"),
        ):
            status_got, told = refused(client, "POST", f"/product-audits/1/steps/{wrong.pop('step')}", json=wrong)
            assert (status_got, word in told) == (status, True), told
        assert refused(client, "POST", "/product-audits/1/close")[0] == 409
        client.call("POST", "/product-audits/1/steps/2", json={"answer": "OK", "value": 0.4})
        client.call("POST", "/product-audits/1/close")
        assert refused(client, "POST", "/product-audits/1/close")[0] == 409
        assert [one["text"] for one in client.call("GET", "/deviations")] == ["Front side: stain"]
