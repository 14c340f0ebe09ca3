"""What a blind plan keeps back, and which limit samples a plan takes."""

from __future__ import annotations

from tests.web.conftest import Served
from tests.web.pages.test_audits import photo, plan
from tests.web.pages.test_studies import refused

STEP = {"title": "Front side"}


def test_a_blind_plan_gives_its_opinion_on_the_photo_of_the_step_alone(served: Served, kept: str) -> None:
    plan(served, kept)
    with served.client("operator") as client:
        client.call("POST", "/product-audits", json={"plan": 1})
        first, second = (
            client.http.post("/product-audits/1/photos", content=photo(flawed)).json()["hash"]
            for flawed in (False, True)
        )
        client.call("POST", "/product-audits/1/steps/1", json={"answer": "OK", "photo": first})
        path = "/product-audits/1/steps/1/opinion"
        status, told = refused(client, "POST", path, json={"photo": second})
        assert status == 409 and "to be answered first" in told
        assert client.call("POST", path, json={"photo": first})["verdict"] in {"OK", "NG", "REVIEW"}


def test_a_photo_whose_opinion_was_shown_at_another_step_was_seen_before(served: Served, kept: str) -> None:
    plan(served, kept)
    with served.client("operator") as client:
        client.call("POST", "/product-audits", json={"plan": 1})
        sent = client.http.post("/product-audits/1/photos", content=photo()).json()["hash"]
        client.call("POST", "/product-audits/1/steps/1", json={"answer": "OK", "photo": sent})
        said = {"answer": "OK", "value": 0.4, "photo": sent}
        findings = client.call("POST", "/product-audits/1/steps/2", json=said)["findings"]
        assert [one["opinion"]["seen_before"] for one in findings] == [False, True]


def test_a_limit_sample_is_a_picture_of_the_store(served: Served) -> None:
    there = served.store.images.put(photo()).hash
    form = {"product": "plates", "name": "shipping"}
    with served.client("engineer") as client:
        wrong = {**form, "steps": [{**STEP, "limit_sample": there}, {**STEP, "limit_sample": "0" * 64}]}
        status, told = refused(client, "POST", "/audit-plans", json=wrong)
        assert status == 422 and "Front side: the limit sample 0000000000000000 is no picture" in told
        assert served.store.product_audits.plans() == ()
        client.call("POST", "/audit-plans", json={**form, "steps": [{**STEP, "limit_sample": there}]})
    assert served.store.check().orphaned == ()
