"""Products, their samples, dataset versions, and archives that are imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from sightline.core.errors import InputError
from sightline.operations.jobs import Import, Name
from sightline.operations.store import add_image
from sightline.store.annotations import Annotation
from sightline.store.jobs import Job
from sightline.store.samples import SAMPLE_FIELDS, StoredSample
from sightline.store.snapshot import Diff, Version
from sightline.web.api.identity import Engineering, Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["datasets"], route_class=Route, responses=responses(401, 403, 404, 409, 413, 422))
# An archive is not read into memory to see whether it came before.
imports = APIRouter(tags=["datasets"], responses=responses(401, 403, 413, 422))
Product = Annotated[str, Query(min_length=1, max_length=100, examples=["cookies"])]
FileName = Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$", examples=["part-1.png"])]
VersionName = Annotated[str, Query(min_length=1, max_length=200, examples=["cookies@3"])]
BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
ANY_BYTES = {"requestBody": {"required": True, "content": BYTES}}


class ProductCount(BaseModel):
    """A product and how many samples it has now."""

    product: str
    samples: int


@dataclass(frozen=True, kw_only=True)
class LabelledSample(StoredSample):
    """A sample with the label and the types of the annotation that counts, empty where nobody has said anything."""

    label: str
    types: list[str]


class Snapshot(Form):
    """A version to take; `frozen` closes its test part to every training for ever."""

    product: str = Field(min_length=1, max_length=100)
    note: str = Field("", max_length=1000)
    frozen: bool = False


class Change(Form):
    """What happens to samples: another split (null: neither), one group, deleted or brought back. One of them."""

    samples: list[int] = Field(min_length=1, max_length=5000)
    split: str | None = None
    group: str | None = Field(None, min_length=1, max_length=200)
    deleted: bool | None = None
    reason: str = Field("", max_length=1000)


@router.get("/products")
def products(site: Here, identity: Reading, after: After = None, limit: Limit = 50) -> Listed[ProductCount]:
    """Products by name, with the number of their samples."""
    last = place(after, str) or ""
    counts = site.store.catalogue.products()
    found = [ProductCount(product=name, samples=count) for name, count in counts.items() if name > last][:limit]
    return listed(found, limit, lambda one: one.product)


@router.get("/samples")
def samples(
    site: Here,
    identity: Reading,
    product: str | None = None,
    version: str | None = None,
    lot: str | None = None,
    split: str | None = None,
    label: Literal["good", "defective", "unknown"] | None = None,
    deleted: bool = False,
    after: After = None,
    limit: Limit = 50,
) -> Listed[LabelledSample]:
    """Samples of a product as it is now, or of a version.

    Labels are those that count today, of a version's samples, too.
    """
    wanted: dict[str, Any] = {"version": version, "lot": lot, "split": split, "label": label, "deleted": deleted}
    found = site.store.catalogue.page(product, **wanted, after=place(after, int) or 0, limit=limit)
    current = site.store.annotations.current([sample.id for sample in found])
    items = [_labelled(sample, current.get(sample.id)) for sample in found]
    return listed(items, limit, lambda sample: sample.id)


@router.get("/samples/{number}")
def sample(number: int, site: Here, identity: Reading) -> StoredSample:
    """One sample."""
    return site.store.catalogue.get(number)


@router.post("/samples", status_code=201, openapi_extra=ANY_BYTES)
async def add_sample(
    request: Request, product: Product, name: FileName, site: Here, identity: Engineering
) -> StoredSample:
    """Add one image, whose bytes are the body, to a product."""
    data = await request.body()
    return await run_in_threadpool(add_image, site.store, product, name, data, identity.name)


@router.patch("/samples")
def change_samples(form: Change, site: Here, identity: Engineering) -> list[StoredSample]:
    """Move samples to another split or group, delete them or bring them back: all of them, or none."""
    catalogue, by = site.store.catalogue, (identity.name, form.reason)
    given = form.model_fields_set - {"samples", "reason"}
    if len(given) != 1:
        raise InputError("one change at a time is possible. Give split, group or deleted")
    if "split" in given:
        catalogue.assign(form.samples, form.split, *by)
    elif form.group is not None:
        catalogue.group(form.samples, form.group, *by)
    elif form.deleted:
        catalogue.delete(form.samples, *by)
    else:
        catalogue.undelete(form.samples, *by)
    return [catalogue.get(number) for number in form.samples]


@router.get("/versions")
def versions(
    site: Here, identity: Reading, product: str | None = None, after: After = None, limit: Limit = 50
) -> Listed[Version]:
    """Dataset versions, the newest first."""
    found = site.store.versions.page(product, place(after, int), limit)
    return listed(found, limit, lambda version: version.id)


@router.post("/versions", status_code=201)
def snapshot(form: Snapshot, site: Here, identity: Engineering) -> Version:
    """Keep a product's samples, labels and split as they are now; the same content gives the version that is there."""
    return site.store.versions.snapshot(form.product, identity.name, form.note, form.frozen)


@router.get("/versions/diff")
def diff(old: VersionName, new: VersionName, site: Here, identity: Reading) -> Diff:
    """What changed between two versions."""
    return site.store.versions.diff(old, new)


@router.post("/versions/restore")
def restore(version: VersionName, site: Here, identity: Engineering) -> Version:
    """Make a product what it was in a version. What it is now is kept as a version first."""
    return site.store.versions.restore(version, identity.name)


@imports.post("/imports", status_code=202, openapi_extra=ANY_BYTES)
async def add_import(request: Request, product: Annotated[Name, Query()], site: Here, identity: Engineering) -> Job:
    """Send a zip archive in any layout that training reads; a job unpacks and adds it."""
    upload, folder = uuid4().hex, site.settings.folder / "uploads"
    await run_in_threadpool(folder.mkdir, parents=True, exist_ok=True)
    file = folder / f"{upload}.zip"
    try:
        with file.open("wb") as target:
            async for chunk in request.stream():
                await run_in_threadpool(target.write, chunk)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    wanted = Import(upload=upload, product=product)
    return await run_in_threadpool(site.store.jobs.add, "import", wanted.model_dump(), identity.name)


def _labelled(sample: StoredSample, current: Annotation | None) -> LabelledSample:
    known = {name: getattr(sample, name) for name in SAMPLE_FIELDS}
    return LabelledSample(**known, label=current.label if current else "", types=list(current.types) if current else [])
