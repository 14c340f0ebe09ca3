"""docs/reference/api.md lists every route as it is. After a change, `python tests/web/test_reference.py` writes it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from sightline.store.store import Store
from sightline.web.api.app import PREFIX, ROUTERS, create_app, permissions
from sightline.web.settings import WebSettings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
BEGIN, END = "<!-- routes -->\n", "<!-- end -->\n"


def table() -> str:
    """The routes as a table, in the order in which they are described."""
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "store.db") as store:
        document = create_app(store, WebSettings()).openapi()
    sockets = {PREFIX + route.path: route for router in ROUTERS for route in router.routes if hasattr(route, "path")}
    lines = ["| route | does | role | scope |", "|---|---|---|---|"]
    for method, path, wanted in permissions():
        if method == "WEBSOCKET":
            text = str(sockets[path].endpoint.__doc__)
        else:
            text = document["paths"][path][method.lower()]["description"]
        first = re.split(r"(?<=[.:])\s", " ".join(text.split()), maxsplit=1)[0].rstrip(":")
        role, scope = ("", "") if wanted is None else (wanted.role, wanted.scope)
        lines.append(f"| `{method} {path.removeprefix(PREFIX)}` | {first} | {role} | {scope} |")
    return "\n".join(lines) + "\n"


def test_the_reference_lists_every_route_as_it_is() -> None:
    text = PAGE.read_text()
    assert text.partition(BEGIN)[2].partition(END)[0] == table(), f"run: python {Path(__file__).name}"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
