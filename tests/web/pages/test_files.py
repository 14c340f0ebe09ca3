"""The pages' files: the shell for each address, assets under the name of their content, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from io import BytesIO

import httpx
from babel.messages.extract import extract
from tests.web.conftest import Served
from tests.web.pages.test_said import findings, key_of, problems, sentences, templates, words

from sightline.runtime.recipe import Recipe
from sightline.web.pages import files

# npm's htm 3.1.1, preact/standalone.module.js
VENDORED = "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
MODULES = {
    name: data.decode()
    for name, data in files.assets().items()
    if name.endswith(".js") and not name.startswith("vendor")
}


def test_every_address_of_the_app_answers_with_the_shell_and_no_inline_script(served: Served) -> None:
    table = re.findall(r'^  \["(/[^"]*)", "\w+"|, \["(/[^"]*)", "\w+"', MODULES["main.js"], re.MULTILINE)
    addresses = [first or second for first, second in table]
    assert {"/", "/login", "/live/:name"} <= set(addresses)
    for address in addresses:
        answer = httpx.get(served.url + address.replace(":", "x"))
        assert answer.status_code == 200, address
        assert answer.headers["content-type"].startswith("text/html")
        assert re.findall(r"<script(?![^>]*src=)", answer.text) == []


def test_assets_are_kept_for_good_under_a_name_of_their_content(served: Served) -> None:
    shell = httpx.get(served.url + "/").text
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', shell)
    assert len(names) >= 6
    for name in names:
        answer = httpx.get(served.url + name)
        assert answer.status_code == 200, name
        assert "immutable" in answer.headers["cache-control"]
    assert httpx.get(served.url + names[0].replace(files.revision(), "0" * 16)).status_code == 404


def test_no_asset_can_be_reached_outside_their_folder(served: Served) -> None:
    for name in ("../files.py", "..%2ffiles.py", "%2e%2e/files.py", "vendor/../../files.py", "shell.html"):
        answer = httpx.get(f"{served.url}/assets/{files.revision()}/{name}", follow_redirects=True)
        assert answer.status_code == 404, name
        assert "def " not in answer.text


def test_the_vendored_library_is_what_was_published() -> None:
    assert hashlib.sha256(files.assets()["vendor/preact.js"]).hexdigest() == VENDORED


def test_every_text_of_the_pages_has_its_german(recipe: Recipe) -> None:
    german = json.loads(files.assets()["locale/de.json"])
    texts = set()
    for text in MODULES.values():
        found = extract("javascript", BytesIO(text.encode()), {"t": None}, options={"parse_template_string": "true"})
        texts |= {message for _, message, _, _ in found if isinstance(message, str)}
    assert len(texts) > 50
    assert texts - german.keys() == set()
    said = {key_of(sentence) for sentence in sentences(recipe)} | words() | findings() | problems()
    assert said - german.keys() == set()
    assert german.keys() - texts - said - templates() - _said_elsewhere() == set()
    for english, translated in german.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", translated)), english


def _said_elsewhere() -> set[str]:
    """Words that the server tells and pages translate: roles, splits, labels."""
    return {"operator", "reviewer", "engineer", "administrator", "train", "test", "unknown"}
