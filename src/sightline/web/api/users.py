"""Users, their roles, and the tokens of programs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field

from sightline.operations import people
from sightline.store.access import Token
from sightline.store.users import ADMINISTRATOR, User
from sightline.web.api.etags import IfMatch, etag, revision_of
from sightline.web.api.identity import Administering, Labelling
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.session import Form, Name, Password
from sightline.web.api.site import Here

# Not `replies.Route`: an answer that holds a secret is kept nowhere.
router = APIRouter(tags=["users"], responses=responses(401, 403, 404, 409, 412, 422))
Role = Literal["operator", "reviewer", "engineer", "administrator"]
Scope = Literal["read", "inspect", "label", "lab", "line", "admin"]


class NewUser(Form):
    """A new user."""

    name: Name
    role: Role
    password: Password


class UserChange(Form):
    """What is to change; `reason` goes into the audit."""

    role: Role | None = None
    password: Password | None = None
    pin: str | None = Field(None, max_length=20)
    disabled: bool | None = None
    reason: str = Field("", max_length=1000)


class NewToken(Form):
    """A new token, with some of the rights of whoever makes it."""

    name: str = Field(min_length=1, max_length=100, examples=["MES"])
    scopes: list[Scope] = Field(min_length=1, max_length=6)
    expires: AwareDatetime | None = None


class MadeToken(BaseModel):
    """The token with its secret, which is told this once."""

    token: Token
    secret: str


@router.get("/users")
def users(site: Here, identity: Administering, after: After = None, limit: Limit = 50) -> Listed[User]:
    """All users, by name."""
    return listed(site.store.users.page(place(after, str) or "", limit), limit, lambda user: user.name)


@router.post("/users", status_code=201)
def add_user(form: NewUser, site: Here, identity: Administering) -> User:
    """Make a user."""
    return people.add_user(site.store, form.name, form.role, form.password, identity.name)


@router.get("/users/{name}")
def user(name: str, response: Response, site: Here, identity: Administering) -> User:
    """One user."""
    found = site.store.users.get(name)
    response.headers["ETag"] = etag(found.revision)
    return found


@router.patch("/users/{name}")
def change_user(
    name: str, form: UserChange, response: Response, site: Here, identity: Administering, if_match: IfMatch = None
) -> User:
    """Change a user. Whoever is logged in under that name has to log in again."""
    values = form.model_dump()
    found = people.change_user(site.store, name, identity.name, revision=revision_of(if_match), **values)
    response.headers["ETag"] = etag(found.revision)
    return found


@router.get("/tokens")
def tokens(site: Here, identity: Labelling, after: After = None, limit: Limit = 50) -> Listed[Token]:
    """The own tokens; for an administrator, those of all."""
    whose = None if identity.role == ADMINISTRATOR else identity.name
    return listed(site.store.access.tokens(whose, place(after, int), limit), limit, lambda token: token.id)


@router.post("/tokens", status_code=201)
def add_token(form: NewToken, site: Here, identity: Labelling) -> MadeToken:
    """Make a token. Its secret is in this answer and nowhere else."""
    expires: datetime | None = form.expires
    kept, secret = people.add_token(site.store, identity, form.name, form.scopes, expires)
    return MadeToken(token=kept, secret=secret)


@router.delete("/tokens/{number}", status_code=204)
def revoke(number: int, site: Here, identity: Labelling) -> None:
    """Make a token worthless, an own one; an administrator any."""
    site.store.access.revoke(number, identity.name, None if identity.role == ADMINISTRATOR else identity.name)
