"""The files of the runtime that inspects in browsers, where they were fetched (operations/browser_runtime.py)."""

from __future__ import annotations

from fastapi import APIRouter, Response

from sightline.core.errors import NotFoundError
from sightline.operations.browser_runtime import VERSION, is_there, runtime_file
from sightline.web.api.shield import COMPILING
from sightline.web.api.site import Here, Site

PLACE = f"/browser-runtime/{VERSION}"
router = APIRouter(include_in_schema=False)


def runtime_place(site: Site) -> str:
    """The address under which the runtime lies; "" where it was not fetched."""
    return PLACE if is_there(site.settings.folder) else ""


@router.get(PLACE + "/{name}")
def runtime(name: str, site: Here) -> Response:
    """A file of the runtime. Its address names its version, so that a browser keeps it for good."""
    path = runtime_file(site.settings.folder, name)
    if path is None:
        raise NotFoundError(f"there is no {name!r}. Fetch it: sightline browser-runtime")
    kind = "application/wasm" if path.suffix == ".wasm" else "text/javascript"
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Content-Security-Policy": COMPILING}
    return Response(path.read_bytes(), media_type=kind, headers=headers)
