"""Who did what, when and why."""

from __future__ import annotations

from fastapi import APIRouter

from sightline.store.audit_log import Chain, Entry
from sightline.web.api.identity import Administering
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.site import Here

router = APIRouter(tags=["audit"], responses=responses(401, 403, 422))


@router.get("/audit")
def audit(
    site: Here,
    identity: Administering,
    author: str | None = None,
    subject: str | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Listed[Entry]:
    """The audit, the newest first; of one author, or about one subject (for instance `user ann`)."""
    found = site.store.audit.page(author, subject, place(after, int), limit)
    return listed(found, limit, lambda entry: entry.id)


@router.get("/audit/chain")
def chain(site: Here, identity: Administering) -> Chain:
    """Compute the whole chain anew: is any row altered or taken out?"""
    return site.store.audit.verify()
