"""ETags: what two people may change tells its revision, and takes a change only while it is at that revision."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

IfMatch = Annotated[
    str | None, Header(max_length=300, description="ETag of the resource to change: 412 if it has changed since")
]


def etag(revision: str) -> str:
    """A revision as a header's value. Revisions are ASCII without quotes."""
    return f'"{revision}"'


def revision_of(if_match: str | None) -> str | None:
    """The revision that If-Match names; None where any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    return if_match.strip().removeprefix("W/").strip('"')
