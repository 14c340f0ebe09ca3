"""The description of the API is whole, and the server keeps to it, whatever is sent (schemathesis)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.evaluate.test_preview import KNOWN
from tests.web.conftest import Serve

from sightline.core.card import Card
from sightline.data.dataset import Dataset
from sightline.operations.people import SCOPES
from sightline.runtime.recipe import Recipe
from sightline.web.api.app import PREFIX, permissions

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
LEFT_OUT = {("POST", "/session"), ("POST", "/setup"), ("DELETE", "/tokens/{number}"), ("DELETE", "/session")}
BUDGET_S, MOST = 45.0, 25  # of all operations together, and examples of one


def test_every_route_is_described_with_who_may_call_it_and_what_goes_wrong(serve: Serve) -> None:
    with serve().client() as client:
        document = client.get("/openapi.json")
    for method, path, wanted in permissions():
        if method == "WEBSOCKET":
            continue
        operation = document["paths"][path][method.lower()]
        assert operation["summary"] and operation["description"]
        if wanted is not None:
            assert f"role {wanted.role}" in operation["description"]
            assert {"401", "403"} <= operation["responses"].keys(), path
    assert document["components"]["schemas"]["Problem"]["properties"]["detail"]


def test_the_server_keeps_to_its_description(serve: Serve, parts_folder: Path, recipe: Recipe) -> None:
    served = serve()
    served.store.add(Dataset.open(parts_folder).samples, "cookies", parts_folder)
    card: Card = recipe.card
    served.store.recipes.register(recipe.data, "cookies", "cookies.onnx", "ann", card=card.model_dump(mode="json"))
    kept = served.store.recipes.list()[0].hash
    served.store.evaluations.add(kept, "cookies", {}, KNOWN.to_json(), "ann")
    with served.client("administrator") as client:
        secret = client.add_token("tester", list(SCOPES))
        document = client.get("/openapi.json")
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    chosen = [one for one in operations if (one.method.upper(), one.path.removeprefix(PREFIX)) not in LEFT_OUT]
    assert len(chosen) > 60
    started, tried, wrong = time.monotonic(), 0, []
    for number, operation in enumerate(chosen, start=1):
        until = started + BUDGET_S * number / len(chosen)  # whoever takes long leaves time for the others
        try:
            tried += attack(operation, served.url, secret, until)
        except (Exception, BaseExceptionGroup) as error:
            wrong.append(f"{operation.label}: {error}")
    if wrong:
        pytest.fail(f"{len(wrong)} of {len(chosen)}:\n" + "\n".join(wrong)[:20_000])
    assert tried > 200


def attack(operation: Any, url: str, secret: str, until: float) -> int:
    """Send what the description allows, and what it does not; how many requests. Raises what does not fit it."""
    tried = 0

    @settings(
        max_examples=MOST,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        nonlocal tried
        if time.monotonic() < until:
            tried += 1
            headers = {"Authorization": f"Bearer {secret}"}
            case.call_and_validate(base_url=url, headers=headers, checks=CHECKS, timeout=20)

    send()
    return tried
