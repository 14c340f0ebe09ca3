"""A whole MSA in the app: 30 parts, three people and three trials, one of them at the screen, to the signed PDF."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import httpx
import pypdfium2
import pytest
from playwright.sync_api import Page, expect
from tests.conftest import draw_part
from tests.web.conftest import PASSWORD, Served
from tests.web.pages.conftest import Enter

from sightline.store.annotations import Annotation
from sightline.store.store import Store
from sightline.store.studies import Reading
from sightline.web.client import Client

PARTS, TRIALS = 30, 3


def fill(store: Store, product: str = "plates") -> None:
    """Thirty labelled pictures of plates, half of them flawed."""
    from sightline.operations.store import add_image

    for number in range(PARTS):
        image, _ = draw_part(number, flawed=number % 2 == 1)
        data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        sample = add_image(store, product, f"plate-{number}.png", data, "ann")
        store.annotations.add(sample.id, Annotation(author="ann", label="defective" if number % 2 else "good"))


@pytest.mark.expects("status of 409")
def test_a_whole_msa_from_the_wizard_to_the_signed_pdf(
    served: Served, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    store = served.store
    fill(store)
    page = enter("/studies", "engineer")
    page.get_by_role("link", name="Design a study").click()
    page.get_by_label("Name of the study").fill("MSA press 3")
    page.get_by_role("textbox", name="People").fill("operator, reviewer, engineer")
    page.wait_for_load_state("networkidle")
    look(page, "study-design")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="MSA press 3")).to_be_visible()
    page.wait_for_load_state("networkidle")
    reference = {one.number: one.reference for one in store.studies.parts(1)}
    assert list(reference.values()).count("NG") == 15

    def right(name: str) -> Reading:
        """What the part is whose turn it is; the reviewer misses one in each trial."""
        turn = store.studies.turn(1, name)
        assert turn is not None
        known = reference[turn.part.number]
        return Reading("OK" if name == "reviewer" and known == "NG" and turn.part.number < 4 else known)

    def read(name: str, first: int, last: tuple[int, int] = (TRIALS, PARTS)) -> None:
        """Trials from `first` to `last`, without a browser."""
        for trial, place in ((trial, place) for trial in range(first, TRIALS + 1) for place in range(1, PARTS + 1)):
            if (trial, place) <= last:
                store.studies.read(1, name, right(name), name, trial=trial, place=place)

    with served.client("operator") as client:
        turn = client.call("GET", "/studies/1/turn")
        while turn["trial"] == 1:
            assert turn["label"] is None and "reference" not in turn and turn["picture"]
            said = {"trial": turn["trial"], "place": turn["place"], "answer": right("operator").answer}
            turn = client.call("POST", "/studies/1/readings", json=said)
    read("operator", 2)
    read("reviewer", 1)

    page.get_by_role("link", name="Read parts").click()
    look(page, "study-read")
    for place in range(1, PARTS + 1):
        expect(page.get_by_text(f"Trial 1 of {TRIALS}, part {place} of {PARTS}")).to_be_visible()
        if right("engineer").answer == "OK":
            page.keyboard.press("o")
        else:
            page.get_by_role("button", name="NG").click()
    expect(page.get_by_text(f"Trial 2 of {TRIALS}, part 1 of {PARTS}")).to_be_visible()
    # The others in another window, but for the last one: the first window goes on where it stands.
    read("engineer", 2, (TRIALS, PARTS - 1))
    page.keyboard.press("o")
    expect(page.get_by_text(f"Trial {TRIALS} of {TRIALS}, part {PARTS} of {PARTS}")).to_be_visible()
    page.keyboard.press("o" if right("engineer").answer == "OK" else "n")
    expect(page.get_by_text("All parts are read. Thank you.")).to_be_visible()
    page.get_by_role("link", name="To the study").click()
    page.get_by_role("button", name="Close and compute").click()
    expect(page.get_by_text("By AIAG MSA 4: operator acceptable")).to_be_visible()
    look(page, "study-result")
    page.get_by_role("button", name="Sign", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What it means").select_option("approved")
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_text("I approve it")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="PDF").click()
    data = download.value.path().read_bytes()
    page.wait_for_load_state("networkidle")

    document = pypdfium2.PdfDocument(data)
    told = "\n".join(one.get_textpage().get_text_range() for one in document)
    document.close()
    record = store.records.get(1)
    for word in ("MSA press 3", "30, 15 good and 15 defective", "engineer", "approved", record.hash):
        assert word in told, word
    assert store.records.verify().broken == "" and store.records.signatures(1)[0].record_hash == record.hash


@pytest.fixture
def study(served: Served) -> Served:
    """A study of the operator and the reviewer."""
    fill(served.store)
    with served.client("engineer") as client:
        design = {"name": "MSA", "product": "plates", "people": ["operator", "reviewer"], "parts": 4, "trials": 1}
        client.call("POST", "/studies", json=design)
    return served


def refused(client: Client, method: str, path: str, **more: object) -> tuple[int, str]:
    answer: httpx.Response = client.http.request(method, path, **more)  # type: ignore[arg-type]
    return answer.status_code, answer.json()["detail"]


def test_contradictions_strangers_and_late_readings_are_refused(study: Served) -> None:
    first = {"trial": 1, "place": 1, "answer": "OK"}
    with study.client("operator") as operator:
        operator.call("POST", "/studies/1/readings", json=first)
        status, told = refused(operator, "POST", "/studies/1/readings", json={**first, "answer": "NG"})
        assert status == 409 and "no reading is changed" in told
        status, told = refused(operator, "POST", "/studies/1/readings", json={**first, "place": 4})
        assert status == 409 and "not the next one" in told
        assert refused(operator, "GET", "/studies/1/result")[0] == 409
        assert refused(operator, "POST", "/studies/1/close", json={})[0] == 403
        for place in (2, 3, 4):
            operator.call("POST", "/studies/1/readings", json={**first, "place": place})
        with study.client("engineer") as engineer:
            status, told = refused(engineer, "POST", "/studies/1/readings", json=first)
            assert status == 403 and "no appraiser" in told
            engineer.call("POST", "/studies/1/close", json={"note": "the reviewer was ill"})
        with study.client("reviewer") as reviewer:
            status, told = refused(reviewer, "POST", "/studies/1/readings", json=first)
            assert status == 409 and "closed" in told
        record = operator.call("GET", "/studies/1/result")
        form = {"password": "wrong password", "meaning": "performed", "hash": record["hash"]}
        path = f"/records/{record['id']}/signatures"
        assert refused(operator, "POST", path, json=form)[0] == 401
        status, told = refused(operator, "POST", path, json={**form, "password": PASSWORD, "meaning": "approved"})
        assert status == 403 and "needs the role engineer" in told
        status, told = refused(operator, "POST", path, json={**form, "password": PASSWORD, "hash": "0" * 64})
        assert status == 409 and "not what was shown" in told
        assert operator.call("POST", path, json={**form, "password": PASSWORD})["author"] == "operator"
    with study.client("administrator") as administrator:
        token = administrator.call("POST", "/tokens", json={"name": "t", "scopes": ["read", "inspect"]})["secret"]
        assert administrator.call("GET", "/records/soundness") == {"broken": ""}
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{study.url}/api/v1{path}", json={**form, "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403 and "cannot sign" in answer.json()["detail"]


def test_a_recipe_reads_for_the_machine_of_a_study(served: Served, kept: str) -> None:
    from pathlib import Path

    from sightline.operations.jobs import Desk, do

    fill(served.store)
    with served.client("engineer") as client:
        design = {"name": "K", "product": "plates", "machines": ["line"], "parts": 2, "trials": 1}
        assert client.call("POST", "/studies", json=design)["readings_each"] == 2
        job = {"kind": "study", "study": 1, "recipe": kept}
        assert client.call("POST", "/jobs", json={"job": job})["kind"] == "study"
    folder = Path(served.folder)
    desk = Desk(served.store, folder / "job", folder, "engineer", lambda *_: None, lambda _: None)
    assert do(desk, {**job, "machine": None})["done"] == {"line": 2}
    assert served.store.studies.content(1)["readings"][0]["details"]["verdict"] in {"OK", "NG", "REVIEW"}
