"""Images and thumbnails by the hash of their content: what a hash names never changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response

from sightline.core.errors import NotFoundError, StoreError
from sightline.imaging.decoding import kind_of
from sightline.web.api.identity import Reading
from sightline.web.api.problems import responses
from sightline.web.api.site import Here

router = APIRouter(tags=["images"], responses=responses(401, 403, 404, 422))
Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
IfNoneMatch = Annotated[str | None, Header(max_length=1000)]
FOR_EVER = "private, max-age=31536000, immutable"
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {}}, "description": "the picture"},
    304: {"description": "unchanged"},
}


@router.get("/images/{hash}", response_class=Response, responses=PICTURES)
def image(hash: Hash, site: Here, identity: Reading, if_none_match: IfNoneMatch = None) -> Response:
    """An image as it was kept."""
    if (unchanged := known(hash, if_none_match)) is not None:
        return unchanged
    try:
        data = site.store.images.read(hash)
    except StoreError as error:
        raise NotFoundError(str(error)) from error
    return picture(data, kind_of(data[:64]) or "application/octet-stream", hash)


@router.get("/images/{hash}/thumbnail", response_class=Response, responses=PICTURES)
def thumbnail(hash: Hash, site: Here, identity: Reading, if_none_match: IfNoneMatch = None) -> Response:
    """An image small enough for a gallery: a JPEG of at most 256 x 256 px."""
    if (unchanged := known(hash, if_none_match)) is not None:
        return unchanged
    try:
        data = site.store.images.thumbnail(hash)
    except StoreError as error:
        raise NotFoundError(str(error)) from error
    return picture(data, "image/jpeg", hash)


def known(hash: str, if_none_match: str | None) -> Response | None:
    """The answer to whoever has the picture of that name already; None to others."""
    if if_none_match is None or f'"{hash}"' not in if_none_match:
        return None
    return Response(status_code=304, headers={"Cache-Control": FOR_EVER, "ETag": f'"{hash}"'})


def picture(data: bytes, kind: str, hash: str) -> Response:
    """A picture whose name tells its content: it never changes, and nothing in it runs."""
    headers = {"Cache-Control": FOR_EVER, "ETag": f'"{hash}"', "Content-Security-Policy": "sandbox; default-src 'none'"}
    return Response(data, media_type=kind, headers=headers)
