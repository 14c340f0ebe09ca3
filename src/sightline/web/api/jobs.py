"""Lab work: asked for, watched, cancelled; its log and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from sightline.core.errors import NotFoundError
from sightline.operations.jobs import AnyArguments, check_arguments
from sightline.store.jobs import Job, Line
from sightline.web.api.identity import Engineering, Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["jobs"], route_class=Route, responses=responses(401, 403, 404, 409, 422))
State = Literal["queued", "running", "done", "failed", "cancelled"]
Reason = Annotated[str, Query(max_length=1000, description="why; it goes into the audit")]
# A report is a page that is made of names and pictures of strangers: it may show, and do nothing.
SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class JobRequest(Form):
    """A job that is asked for."""

    job: AnyArguments
    reason: str = ""


@router.get("/jobs")
def jobs(
    site: Here,
    identity: Reading,
    state: State | None = None,
    kind: str | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Listed[Job]:
    """Jobs, the newest first."""
    return listed(site.store.jobs.page(state, kind, place(after, int), limit), limit, lambda job: job.id)


@router.post("/jobs", status_code=202)
def add_job(form: JobRequest, site: Here, identity: Engineering) -> Job:
    """Ask for a job. It waits until the worker is free."""
    check_arguments(form.job)
    return site.store.jobs.add(form.job.kind, form.job.model_dump(mode="json"), identity.name, form.reason)


@router.get("/jobs/{number}")
def job(number: int, site: Here, identity: Reading) -> Job:
    """One job."""
    return site.store.jobs.get(number)


@router.post("/jobs/{number}/cancel", status_code=202)
def cancel(number: int, site: Here, identity: Engineering, reason: Reason = "") -> Job:
    """Have a job end: at once where it waits, else within seconds."""
    return site.store.jobs.cancel(number, identity.name, reason)


@router.get("/jobs/{number}/log")
def log(number: int, site: Here, identity: Reading, after: After = None, limit: Limit = 500) -> Listed[Line]:
    """A job's log, the oldest line first."""
    found = site.store.jobs.lines(number, place(after, int) or 0, limit)
    return listed(found, limit, lambda line: line.id)


@router.get("/jobs/{number}/files/{name}", response_class=FileResponse)
def file(number: int, name: str, site: Here, identity: Reading) -> FileResponse:
    """A file that a job has made, for instance its report."""
    if name not in site.store.jobs.get(number).result.get("files", ()):
        raise NotFoundError(f"job {number} has no file {name!r}. Its result lists them")
    path: Path = site.settings.folder / "jobs" / str(number) / name
    if not path.is_file():
        raise NotFoundError(f"{name!r} of job {number} was removed from the folder of jobs")
    return FileResponse(path, headers={"Content-Security-Policy": SANDBOX}, content_disposition_type="inline")
