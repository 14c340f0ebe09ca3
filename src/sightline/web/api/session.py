"""Logging in and out, the own password, and the first user of all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from sightline.core.errors import ForbiddenError
from sightline.operations import people
from sightline.operations.invitations import qr_code
from sightline.operations.people import Identity
from sightline.store.users import User
from sightline.web.api.identity import COOKIE, CSRF, HOST_COOKIE, Reading, cookie_name
from sightline.web.api.problems import responses
from sightline.web.api.site import Here, Site
from sightline.web.settings import is_own

router = APIRouter(tags=["session"], responses=responses(401, 403, 409, 422, 429))
Name = Annotated[str, Field(min_length=1, max_length=64, examples=["ann"])]
Password = Annotated[str, Field(max_length=1000, examples=["a sentence that nobody guesses"])]


class Form(BaseModel):
    """Base of what is sent: no unknown fields."""

    model_config = ConfigDict(extra="forbid")


class SetUp(Form):
    """The first user, who becomes administrator; `token` is shown by the console where the server was started."""

    token: str = Field(max_length=200)
    name: Name
    password: Password


class LogIn(Form):
    """A name and its password."""

    name: Name
    password: Password


class Switch(Form):
    """An operator and the PIN."""

    name: Name
    pin: str = Field(max_length=20, examples=["4711"])


class OwnChange(Form):
    """A new password or PIN; an empty PIN takes it away."""

    password: Password
    new_password: Password | None = None
    new_pin: str | None = Field(None, max_length=20)


class Invite(Form):
    """Where the link leads: an address of the app."""

    to: str = Field("/bench", max_length=300, pattern=r"^/[^/\\\s#][^\\\s#]*$")


class Link(BaseModel):
    """A link that logs in once: for a phone, as a QR code. `reachable`: other devices can follow it.

    What follows # in the address is a secret: it is never sent to a server but by the page that it opens.
    """

    address: str
    qr: str = Field(description="data URI of an SVG")
    seconds: float = Field(description="how long it is valid")
    user: str
    reachable: bool


class Join(Form):
    """The secret of a link."""

    token: str = Field(max_length=200)


class Invited(BaseModel):
    """Whom a link logs in."""

    user: str


class Session(BaseModel):
    """Who is logged in. `csrf_token` goes into the header X-CSRF-Token of every change that comes with the cookie."""

    user: str
    role: str
    by_pin: bool = Field(description="taken over by a PIN: never more than an operator")
    csrf_token: str
    idle_minutes: float
    scopes: list[str] | None = Field(description="of a token; null for a person, who has all")


class Joined(Session):
    """Who is logged in by a link, and where that leads."""

    to: str


@router.post("/setup", status_code=201)
def set_up(form: SetUp, site: Here) -> User:
    """Make the first user with the token that the console shows."""
    site.check_setup(form.token)
    user = people.set_up(site.store, form.name, form.password)
    site.setup_token = ""
    return user


@router.post("/session", status_code=201)
def log_in(form: LogIn, request: Request, response: Response, site: Here) -> Session:
    """Log in: a session of its own, whatever cookie came along."""
    site.attempts.count(_address(request))
    return _open(site, request, response, form.name, form.password, by_pin=False)


@router.post("/session/switch", status_code=201)
def switch(form: Switch, request: Request, response: Response, site: Here, identity: Reading) -> Session:
    """Hand a shared screen over to an operator, by the PIN. Possible where the server allows it."""
    if not site.settings.pin_switch:
        raise ForbiddenError("PINs are switched off. Log in with the password, or start the server with pin_switch")
    site.attempts.count(_address(request))
    return _open(site, request, response, form.name, form.pin, by_pin=True)


@router.post("/session/links", status_code=201)
def invite(form: Invite, request: Request, site: Here, identity: Reading) -> Link:
    """Make a link that logs another device in as yourself, with an operator's rights, once, within two minutes."""
    secret = site.invitations.make(site.store, identity, form.to)
    host = request.headers["host"]  # one of the server's names: the shield has compared it
    address = f"{'https' if site.settings.secure else 'http'}://{host}/join#{secret}"
    return Link(
        address=address,
        qr=qr_code(address),
        seconds=site.invitations.valid_s,
        user=identity.name,
        reachable=site.settings.secure and not is_own(host),
    )


@router.post("/session/link")
def link(form: Join, request: Request, site: Here) -> Invited:
    """Whom a link would log in. It is not used up: a page asks its reader first."""
    site.attempts.count(_address(request))
    return Invited(user=site.invitations.whose(site.store, form.token))


@router.post("/session/join", status_code=201)
def join(form: Join, request: Request, response: Response, site: Here) -> Joined:
    """Log in by a link, which is used up."""
    site.attempts.count(_address(request))
    opened, to = site.invitations.take(site.store, form.token, _old(request, site))
    _set_cookie(site, response, opened.secret)
    return Joined(**_session(site, opened.identity).model_dump(), to=to)


@router.get("/session")
def who(site: Here, identity: Reading) -> Session:
    """Who is logged in."""
    return _session(site, identity)


@router.delete("/session", status_code=204)
def log_out(response: Response, site: Here, identity: Reading) -> None:
    """Log out."""
    if identity.digest is not None:
        site.store.access.close_session(identity.digest, identity.name)
    response.delete_cookie(cookie_name(site), path="/", secure=site.settings.secure, httponly=True, samesite="strict")


@router.patch("/session/user")
def change_own(form: OwnChange, request: Request, site: Here, identity: Reading) -> User:
    """Change the own password or PIN."""
    site.attempts.count(_address(request))
    return people.change_own(site.store, identity, form.password, form.new_password, form.new_pin)


def _open(site: Site, request: Request, response: Response, name: str, secret: str, by_pin: bool) -> Session:
    opened = people.log_in(site.store, name, secret, by_pin=by_pin, instead_of=_old(request, site))
    _set_cookie(site, response, opened.secret)
    return _session(site, opened.identity)


def _old(request: Request, site: Site) -> str | None:
    """The session that the one to be opened takes the place of."""
    old = request.cookies.get(cookie_name(site))
    return None if old is None else people.digest_of(old)


def _set_cookie(site: Site, response: Response, secret: str) -> None:
    secure = site.settings.secure
    response.set_cookie(cookie_name(site), secret, path="/", secure=secure, httponly=True, samesite="strict")


def _session(site: Site, identity: Identity) -> Session:
    return Session(
        user=identity.name,
        role=identity.role,
        by_pin=identity.by_pin,
        csrf_token=identity.csrf,
        idle_minutes=site.settings.idle_minutes,
        scopes=None if identity.scopes is None else sorted(identity.scopes),
    )


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


SECURITY = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": f"{HOST_COOKIE} by TLS; with {CSRF}"},
    "token": {"type": "http", "scheme": "bearer"},
}
