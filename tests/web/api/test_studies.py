"""Who may read in a study over the API, what a blind one tells, and where its parts come from."""

from __future__ import annotations

import hashlib
import json

import pytest
from tests.web.conftest import Serve, Served
from tests.web.pages.test_studies import fill, refused

from sightline.web.client import Client

DESIGN = {"name": "MSA", "product": "plates", "people": ["operator"], "machines": ["reviewer"], "parts": 2, "trials": 1}
FIRST = {"trial": 1, "place": 1, "answer": "OK"}


@pytest.mark.parametrize("blind", [True, False])
def test_a_reading_tells_who_sat_there(serve: Serve, blind: bool) -> None:
    served = serve(pin_switch=True)
    fill(served.store)
    with served.client("engineer") as client:
        people = {"people": ["operator", "reviewer"], "machines": []}
        client.call("POST", "/studies", json={**DESIGN, **people, "blind": blind})
    with served.client("administrator") as client:
        client.patch("/users/operator", {"pin": "4711"})
    with served.client("reviewer") as client, Client(served.url, client.add_token("t", ["read", "inspect"])) as program:
        client.switch("operator", "4711")
        for reader in (client, program):
            assert reader.http.get("/studies/1/turn").status_code == (403 if blind else 200)
            assert reader.http.post("/studies/1/readings", json=FIRST).status_code == (403 if blind else 201)
    with served.client("reviewer") as client:
        client.call("POST", "/studies/1/readings", json={**FIRST, "place": 1 if blind else 2})
        told = [client.call("GET", "/studies/1"), *client.call("GET", "/studies")["items"]]
        assert [one["seed"] for one in told] == [None if blind else 0] * 2  # the orders follow from it
    kept = [one["details"] for one in served.store.studies.content(1)["readings"]]
    assert kept == ([{}] if blind else [{"by": "PIN"}, {"by": "token"}, {}])


@pytest.fixture
def study(served: Served) -> Served:
    """A blind study of the operator, with a machine that is named as the reviewer is."""
    fill(served.store)
    with served.client("engineer") as client:
        client.call("POST", "/studies", json=DESIGN)
    return served


def test_nobody_reads_as_the_machine(study: Served) -> None:
    with study.client("reviewer") as client:
        for method, path in (("GET", "turn"), ("GET", "turn/picture"), ("POST", "readings")):
            status, told = refused(client, method, f"/studies/1/{path}", json=FIRST)
            assert status == 403 and "reviewer is no appraiser" in told
    assert study.store.studies.done(1) == {"operator": 0, "reviewer": 0}


def test_a_blind_study_shows_its_pictures_without_their_hashes(study: Served) -> None:
    hashes = [one.images[0] for one in study.store.studies.parts(1)]
    with study.client("operator") as client:
        for place in (1, 2):
            turn = client.http.get("/studies/1/turn")
            picture = client.http.get("/studies/1/turn/picture")
            seen = study.store.studies.turn(1, "operator")
            assert seen is not None and hashlib.sha256(picture.content).hexdigest() == seen.part.images[0]
            assert picture.headers["content-type"] == "image/png" and picture.headers["cache-control"] == "no-store"
            told = turn.text + json.dumps(dict(picture.headers)) + json.dumps(dict(turn.headers))
            assert turn.json()["picture"] is True and not any(hash in told for hash in hashes)
            client.call("POST", "/studies/1/readings", json={**FIRST, "place": place})
        assert client.call("GET", "/studies/1/turn") is None
        assert refused(client, "GET", "/studies/1/turn/picture")[0] == 404


def test_a_product_that_is_named_like_a_table_is_a_product(served: Served) -> None:
    fill(served.store, "x.csv")
    with served.client("engineer") as client:
        assert client.call("POST", "/studies", json={**DESIGN, "product": "x.csv"})["readings_each"] == 2
