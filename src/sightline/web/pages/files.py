"""The pages' files: the shell for each address that a person may open, its assets under a name of their content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from sightline.core.errors import NotFoundError
from sightline.web.api.shield import COMPILING

ASSETS = Path(__file__).parent / "assets"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
# The first part of each address that the shell answers; the modules' own table is in main.js.
PAGES = (
    *("live", "review", "parts", "samples", "label", "book", "findings", "collect", "jobs", "decide", "recipes"),
    *(
        "statistics",
        "drift",
        "learning",
        "site",
        "login",
        "setup",
        "join",
        "bench",
        "agreement",
        "studies",
        "audits",
        "pilots",
        "fleet",
    ),
)
COMPILES = "device_worker.js"
router = APIRouter(include_in_schema=False)


@cache
def assets() -> dict[str, bytes]:
    """Every asset by its path below `assets/`. They are read once: all together have fewer bytes than one photo."""
    found = {path.relative_to(ASSETS).as_posix(): path.read_bytes() for path in sorted(ASSETS.rglob("*.*"))}
    return {name: data for name, data in found.items() if Path(name).suffix in TYPES}


@cache
def revision() -> str:
    """A name for the assets' content: another release has other addresses, and no browser mixes the two."""
    digest = hashlib.sha256()
    for name, data in assets().items():
        digest.update(f"{name} {len(data)} ".encode() + data)
    return digest.hexdigest()[:16]


@cache
def _shell() -> bytes:
    return (ASSETS / "shell.html").read_bytes().replace(b"{revision}", revision().encode())


def shell() -> HTMLResponse:
    """The page that loads the modules; which one is shown, the address says."""
    return HTMLResponse(_shell())


@router.get("/assets/{version}/{name:path}")
def asset(version: str, name: str) -> Response:
    """An asset. Its address names its content, so that a browser keeps it for good."""
    data = assets().get(name) if version == revision() else None
    if data is None:
        raise NotFoundError(f"there is no file {name!r} of this version. Load the page again")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    if name == COMPILES:
        headers["Content-Security-Policy"] = COMPILING
    return Response(data, media_type=TYPES[Path(name).suffix], headers=headers)


for _page in PAGES:
    router.add_api_route(f"/{_page}", shell, response_model=None)
    router.add_api_route(f"/{_page}/{{rest:path}}", shell, response_model=None)
router.add_api_route("/", shell, response_model=None)
