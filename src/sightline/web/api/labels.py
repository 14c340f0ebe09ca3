"""What people say about samples, what checks found, and the defect book."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from sightline.evaluate.metrics.agreement import Agreement
from sightline.operations import findings as work
from sightline.operations.findings import Decided
from sightline.operations.labels import agreement_in, annotate
from sightline.store.annotations import Annotation, region_from_json, region_to_json
from sightline.store.book import Page
from sightline.web.api.etags import IfMatch, etag, revision_of
from sightline.web.api.identity import Engineering, Labelling, Reading
from sightline.web.api.jobs import Reason
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["labels"], route_class=Route, responses=responses(401, 403, 404, 409, 412, 422))
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Type = Annotated[str, Field(min_length=1, max_length=100)]
Product = Annotated[str, Query(min_length=1, max_length=100)]
REGIONS = [[{"type": "crack", "box": [10, 20, 30, 40]}]]


class NewAnnotation(Form):
    """What a person says. Regions have a type and one of box [x, y, width, height], rings, runs, in px of the image."""

    label: Literal["good", "defective", "unknown"]
    types: list[Type] = Field([], max_length=50)
    regions: list[dict[str, Any]] = Field([], max_length=1000, examples=REGIONS)
    mask_hash: Hash | None = None
    grade: int | None = Field(None, ge=-1000, le=1000)
    note: str = Field("", max_length=4000)
    suggested_by: Hash | None = None
    outcome: Literal["accepted", "corrected"] | None = None
    blind: bool = Field(False, description="a second label, given without seeing the first")


class StoredAnnotation(BaseModel):
    """An annotation as it is stored."""

    id: int
    sample_id: int
    author: str
    created: datetime
    label: str
    types: list[str]
    regions: list[dict[str, Any]]
    mask_hash: str | None
    grade: int | None
    note: str
    suggested_by: str | None
    outcome: str | None
    blind: bool


class Decision(Form):
    """What is decided about a finding."""

    state: Literal["applied", "dismissed", "open"]
    note: str = Field("", max_length=1000)


class BookPage(Form):
    """A page of the defect book; `examples` and its like are ids of samples."""

    guideline: str = Field("", max_length=10_000)
    examples: list[int] = Field([], max_length=100)
    counter_examples: list[int] = Field([], max_length=100)
    borderline: list[int] = Field([], max_length=100)
    min_mm: float | None = Field(None, ge=0)
    max_mm: float | None = Field(None, ge=0)


@router.get("/samples/{number}/annotations")
def history(
    number: int, response: Response, site: Here, identity: Reading, after: After = None, limit: Limit = 50
) -> Listed[StoredAnnotation]:
    """All that people said of a sample, the oldest first. The ETag is that of the annotation that counts."""
    site.store.catalogue.get(number)
    last, current = place(after, int) or 0, site.store.annotations.current([number]).get(number)
    response.headers["ETag"] = etag(str(current.id if current else 0))
    found = [_shown(one) for one in site.store.annotations.history(number) if (one.id or 0) > last][:limit]
    return listed(found, limit, lambda one: one.id)


@router.post("/samples/{number}/annotations", status_code=201)
def add_annotation(
    number: int, form: NewAnnotation, response: Response, site: Here, identity: Labelling, if_match: IfMatch = None
) -> StoredAnnotation:
    """Say what a sample shows. It counts from now on, unless it is blind. If-Match: only if that one counts."""
    values = form.model_dump(exclude={"regions", "types"})
    regions = tuple(region_from_json(region) for region in form.regions)
    wanted = Annotation(author=identity.name, types=tuple(form.types), regions=regions, **values)
    revision = revision_of(if_match)
    added = annotate(site.store, number, wanted, None if revision is None else _number(revision))
    response.headers["ETag"] = etag(str(added.id))
    return _shown(added)


@router.delete("/samples/{number}/annotations/{annotation}", status_code=204)
def take_back(number: int, annotation: int, site: Here, identity: Labelling, reason: Reason = "") -> None:
    """Take back an annotation of your own: the one before it counts again. The history keeps both."""
    site.store.annotations.take_back(number, annotation, identity.name, reason)


@router.get("/labels/blind")
def blind(
    product: Product, site: Here, identity: Labelling, count: Annotated[int, Query(ge=1, le=500)] = 20
) -> list[int]:
    """Ids of labelled samples that you have not seen, of every type some: to be labelled blind."""
    return site.store.annotations.for_second_label(product, identity.name, count)


@router.get("/labels/agreement")
def agree(product: Product, site: Here, identity: Engineering) -> Agreement:
    """How people who did not see each other's label agree: Cohen's kappa of every two, Fleiss' of all, with intervals.

    `pairs` and `overall` have a question for each type, beside "defective"; `disagreements` come worst first.
    """
    return agreement_in(site.store, product)


@router.get("/findings")
def findings(
    product: Product,
    site: Here,
    identity: Reading,
    state: Literal["open", "applied", "dismissed"] | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Listed[Decided]:
    """What the last check of a product found, worst first, and what was decided."""
    start = max(0, place(after, int) or 0)
    found = work.findings(site.store, product, state, start, limit)
    return listed(found, limit, lambda _: start + limit)


@router.get("/findings/{key}")
def finding(key: str, product: Product, response: Response, site: Here, identity: Reading) -> Decided:
    """One finding."""
    found = work.finding(site.store, product, key)
    response.headers["ETag"] = etag(found.revision)
    return found


@router.post("/findings/{key}")
def decide(
    key: str, product: Product, form: Decision, response: Response, site: Here, identity: Engineering,
    if_match: IfMatch = None,
) -> Decided:  # fmt: skip
    """Apply a finding to the samples, dismiss it, or open it again."""
    revision = revision_of(if_match)
    found = work.decide(site.store, product, key, form.state, identity.name, form.note, revision)
    response.headers["ETag"] = etag(found.revision)
    return found


@router.get("/book")
def book(product: Product, site: Here, identity: Reading, after: After = None, limit: Limit = 50) -> Listed[Page]:
    """The defect book of a product, by type."""
    last = place(after, str) or ""
    found = [page for page in site.store.book.pages(product) if page.name > last][:limit]
    return listed(found, limit, lambda page: page.name)


@router.put("/book/{name}")
def write_page(
    name: str, product: Product, form: BookPage, response: Response, site: Here, identity: Engineering,
    if_match: IfMatch = None,
) -> Page:  # fmt: skip
    """Write a page of the defect book, a new one or over the old one, which the audit keeps."""
    revision = revision_of(if_match)
    lists = ("examples", "counter_examples", "borderline")
    values: dict[str, Any] = {
        field: tuple(value) if field in lists else value for field, value in form.model_dump().items()
    }
    written = site.store.book.write(Page(**{**values, "product": product, "name": name}), identity.name, revision)
    response.headers["ETag"] = etag(written.revision)
    return written


def _shown(annotation: Annotation) -> StoredAnnotation:
    values = {
        name: getattr(annotation, name) for name in StoredAnnotation.model_fields if name not in {"regions", "types"}
    }
    return StoredAnnotation(
        types=list(annotation.types), regions=[region_to_json(one) for one in annotation.regions], **values
    )


def _number(revision: str) -> int:
    return int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 19 else -1
