"""People and programs: set up, logged in, recognised again, and kept out after too many wrong attempts."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from sightline.core.errors import BusyError, ForbiddenError, InputError, MissingExtraError
from sightline.store.access import Token
from sightline.store.store import Store
from sightline.store.tables.base import now
from sightline.store.users import ADMINISTRATOR, OPERATOR, RANK, User

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SCOPES = ("read", "inspect", "label", "lab", "line", "admin")
STATION = "station"  # "station:press-3" is the scope of a token by which that station sends, and nothing else
MIN_PASSWORD, MAX_PASSWORD = 10, 128
PIN_DIGITS = (4, 12)
FREE_FAILURES = 5  # then each further one doubles the time in which nobody may try
FIRST_LOCK_S, LONGEST_LOCK_S = 30.0, 900.0
TOUCH_S = 30.0  # a session in use is noted no more often
HASHES_AT_ONCE = 2
TOKEN_PREFIX = "slt_"  # noqa: S105 - so that scanners for leaked secrets know one
_HASHING = threading.BoundedSemaphore(HASHES_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `scopes` limits a token (None: a person, who has all of them); `digest` names a person's session."""

    user: User
    role: str
    scopes: frozenset[str] | None = None
    digest: str | None = None
    csrf: str = ""
    by_pin: bool = False
    station: str = ""  # that a token belongs to

    @property
    def name(self) -> str:
        """As the audit calls them."""
        return self.user.name

    @property
    def means(self) -> Literal["password", "PIN", "token"]:
        """By what they proved who they are; a screen that another one invited counts as by PIN."""
        return "token" if self.scopes is not None else "PIN" if self.by_pin else "password"

    def check(self, role: str, scope: str) -> None:
        """Raises ForbiddenError where role or scope do not allow it."""
        if RANK[self.role] < RANK[role]:
            raise ForbiddenError(f"this needs the role {role}, and {self.name} is {self.role}. Ask an administrator")
        if self.scopes is not None and scope not in self.scopes:
            raise ForbiddenError(f"this token has no scope '{scope}'. Make one that has it")


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that was just opened: the cookie's secret, and who it is."""

    secret: str
    identity: Identity


def set_up(store: Store, name: str, password: str) -> User:
    """Make the first user, an administrator. Raises InputError, ConflictError where there is somebody already."""
    return store.users.add(name, ADMINISTRATOR, hash_password(password, name), author=name, first=True)


def add_user(store: Store, name: str, role: str, password: str, author: str) -> User:
    """Make a user. Raises InputError, ConflictError."""
    return store.users.add(name, role, hash_password(password, name), author)


def change_user(store: Store, name: str, author: str, **changes: Any) -> User:
    """Change a user, as `Users.change` with password and PIN themselves; whoever is logged in under that name is
    logged out. Raises InputError, ConflictError.
    """
    for secret, hashed in (("password", partial(hash_password, name=name)), ("pin", hash_pin)):
        if changes.get(secret) is not None:
            changes[secret] = hashed(changes[secret])
    changed = store.users.change(name, author, **changes)
    if any(changes.get(key) for key in ("role", "password", "disabled")):
        store.access.close_sessions(changed)
    return changed


def change_own(
    store: Store, identity: Identity, password: str, new_password: str | None = None, new_pin: str | None = None
) -> User:
    """Change the own password or PIN, which the present password has to allow; other sessions of this user end."""
    user = _prove(store, identity.name, password, by_pin=False)
    hashed = None if new_password is None else hash_password(new_password, user.name)
    pin = None if new_pin is None else hash_pin(new_pin)
    changed = store.users.change(user.name, user.name, password=hashed, pin=pin)
    if hashed is not None:
        store.access.close_sessions(changed, identity.digest or "")
    return changed


def prove(store: Store, name: str, password: str) -> User:
    """The user that the password proves, for a signature. Raises ForbiddenError, BusyError while locked."""
    return _prove(store, name, password, by_pin=False)


def log_in(store: Store, name: str, secret: str, *, by_pin: bool = False, instead_of: str | None = None) -> Opened:
    """Open a session of its own, whatever cookie was there before. Raises ForbiddenError, BusyError while locked."""
    user = _prove(store, name, secret, by_pin)
    if by_pin and user.role != OPERATOR:
        raise ForbiddenError("a PIN is for operators on a shared screen. Log in with the password")
    cookie = secrets.token_urlsafe(32)
    store.access.open_session(digest_of(cookie), user, by_pin, instead_of)
    return Opened(cookie, Identity(user, user.role, None, digest_of(cookie), csrf_of(cookie), by_pin))


def identify_session(store: Store, cookie: str, idle_s: float, longest_s: float) -> Identity | None:
    """Whose session a cookie opens; None where it is unknown, unused for `idle_s` or older than `longest_s`."""
    digest = digest_of(cookie)
    found = store.access.session(digest)
    if found is None:
        return None
    idle, age = now() - found.seen, now() - found.created
    if idle > timedelta(seconds=idle_s) or age > timedelta(seconds=longest_s):
        store.access.close_session(digest, found.user.name)
        return None
    if idle > timedelta(seconds=TOUCH_S):
        store.access.touch(digest)
    role = OPERATOR if found.by_pin else found.user.role
    return Identity(found.user, role, None, digest, csrf_of(cookie), found.by_pin)


def identify_token(store: Store, secret: str) -> Identity | None:
    """Whose token it is; None where it is unknown, revoked or expired."""
    found = store.access.token(digest_of(secret)) if secret.startswith(TOKEN_PREFIX) else None
    if found is None:
        return None
    scopes = frozenset(one.partition(":")[0] for one in found[0].scopes)
    station = next((one.partition(":")[2] for one in found[0].scopes if one.startswith(f"{STATION}:")), "")
    return Identity(found[1], found[1].role, scopes, station=station)


def add_token(
    store: Store, identity: Identity, name: str, scopes: Sequence[str], expires: datetime | None
) -> tuple[Token, str]:
    """Make a token with some of the own rights: what is kept of it, and the secret, which nobody sees again."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InputError(f"{', '.join(unknown) or 'none'}: not scopes. Choose from: {', '.join(SCOPES)}")
    if identity.scopes is not None:
        raise ForbiddenError("a token cannot create tokens. Log in to create one")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = store.access.add_token(digest_of(secret), identity.user, name, sorted(set(scopes)), expires, identity.name)
    return token, secret


def digest_of(secret: str) -> str:
    """What is kept of a cookie or a token. Both have 256 random bits, so that no salt and no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_of(cookie: str) -> str:
    """What a page has to send in a header with every change: only pages of this server can learn it."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def hash_password(password: str, name: str) -> str:
    """Argon2id of a password. Raises InputError for one that is short, endless, or the user's name."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InputError(f"the password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters. A sentence will do")
    if password.casefold() == name.casefold():
        raise InputError("the password is the user's name. Choose another one")
    with _HASHING:
        return _hasher().hash(password)


def hash_pin(pin: str) -> str:
    """Argon2id of a PIN; an empty one stays empty and takes it away. Raises InputError."""
    if not pin:
        return ""
    if not (pin.isascii() and pin.isdigit() and PIN_DIGITS[0] <= len(pin) <= PIN_DIGITS[1]):
        raise InputError(f"a PIN has {PIN_DIGITS[0]} to {PIN_DIGITS[1]} digits. Choose one")
    with _HASHING:
        return _hasher().hash(pin)


def _prove(store: Store, name: str, secret: str, by_pin: bool) -> User:
    """The user that proves itself. Unknown names take as long, and are told the same, as wrong passwords."""
    found = store.users.credentials(name)
    if found is not None and found.user.locked_until is not None and found.user.locked_until > now():
        wait_s = (found.user.locked_until - now()).total_seconds()
        raise BusyError(f"too many wrong attempts. Try again in {wait_s:.0f} s", wait_s)
    hashed = None if found is None else found.pin if by_pin else found.password
    right = _verify(hashed or _nobody(), secret) and bool(hashed)
    if found is None or not right:
        if found is not None:
            store.users.note_failure(name, _lock_s)
        raise ForbiddenError("name or password is wrong. Try again, or ask an administrator", known=False)
    if found.failures or found.user.locked_until is not None:
        store.users.note_success(name)
    return found.user


def _lock_s(failures: int) -> float:
    over = failures - FREE_FAILURES
    return min(LONGEST_LOCK_S, FIRST_LOCK_S * 2.0 ** min(over, 10)) if over >= 0 else 0.0


def _verify(hashed: str, secret: str) -> bool:
    from argon2.exceptions import VerificationError

    if len(secret) > MAX_PASSWORD:
        return False
    with _HASHING:
        try:
            return _hasher().verify(hashed, secret)
        except VerificationError:
            return False


@cache
def _nobody() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))


@cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ModuleNotFoundError as error:
        raise MissingExtraError("argon2-cffi", "web") from error
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's for Argon2id: 19 MiB, two passes
