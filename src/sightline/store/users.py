"""The people of a store: names, roles, and hashes of what they prove themselves with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.line import UserRow

ROLES = OPERATOR, REVIEWER, ENGINEER, ADMINISTRATOR = ("operator", "reviewer", "engineer", "administrator")
RANK = {role: rank for rank, role in enumerate(ROLES)}
MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class User:
    """A person. `revision` changes with every change; `has_pin`: may take over a shared screen by a PIN."""

    id: int
    name: str
    role: str
    has_pin: bool
    disabled: bool
    locked_until: datetime | None
    created: datetime
    revision: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person is checked with: hashes, and how often that failed since it last went well."""

    user: User
    password: str | None
    pin: str | None
    failures: int


class Users:
    """The users of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        """How many people there are, disabled ones included; a user without a password has tokens alone."""
        with self._database.reading() as session:
            people = select(func.count()).select_from(UserRow).where(UserRow.password.is_not(None))
            return session.scalar(people) or 0

    def add(self, name: str, role: str, password: str | None, author: str, first: bool = False) -> User:
        """Keep a new user; `password` is a hash. Raises InputError, and ConflictError for a name that is taken.

        `first`: only while there is nobody yet.
        """
        _check_name(name)
        _check_role(role)
        with self._database.writing() as session:
            people = select(UserRow.id).where(UserRow.password.is_not(None)).limit(1)
            if first and session.scalar(people) is not None:
                raise ConflictError("there are users already. Log in, or ask an administrator for a user")
            if session.scalar(select(UserRow.id).where(UserRow.name == name)) is not None:
                raise ConflictError(f"there is a user {name} already. Choose another name")
            row = UserRow(name=name, role=role, password=password, created=now(), updated=now(), failures=0)
            session.add(row)
            audit(session, author, "add user", f"user {name}", role=role)
            session.flush()
            return user_of(row)

    def get(self, name: str) -> User:
        """A user by name. Raises NotFoundError."""
        with self._database.reading() as session:
            return user_of(_find(session, name))

    def credentials(self, name: str) -> Credentials | None:
        """What a user is checked with; None where there is none of that name or it is disabled."""
        with self._database.reading() as session:
            row = session.scalar(select(UserRow).where(UserRow.name == name))
            if row is None or row.disabled_at is not None:
                return None
            return Credentials(user_of(row), row.password, row.pin, row.failures)

    def page(self, after: str = "", limit: int = 50) -> tuple[User, ...]:
        """Users by name, those after a name."""
        query = select(UserRow).where(UserRow.name > after).order_by(UserRow.name).limit(limit)
        with self._database.reading() as session:
            return tuple(user_of(row) for row in session.scalars(query))

    def change(
        self,
        name: str,
        author: str,
        *,
        role: str | None = None,
        password: str | None = None,
        pin: str | None = None,
        disabled: bool | None = None,
        reason: str = "",
        revision: str | None = None,
    ) -> User:
        """Change what is given; `password` and `pin` are hashes, an empty `pin` takes it away.

        Raises NotFoundError, InputError, and ConflictError where the user is no longer at `revision`, or where nobody
        would be administrator any more.
        """
        if role is not None:
            _check_role(role)
        with self._database.writing() as session:
            row = _find(session, name, lock=True)
            if revision is not None and revision != _revision(row):
                raise ConflictError(f"user {name} was changed in the meantime. Read it again, then change it", True)
            if (role not in {None, ADMINISTRATOR} or disabled) and _is_last_administrator(session, row):
                raise ConflictError(f"{name} is the last administrator. Make somebody else one first")
            told = {"role": role, "disabled": disabled, "password": password and "new", "pin": pin and "new"}
            row.role = role or row.role
            row.password = password or row.password
            row.pin = row.pin if pin is None else pin or None
            if disabled is not None:
                row.disabled_at = now() if disabled else None
            if password:
                row.failures, row.locked_until = 0, None
            row.updated = now()
            given = {field: value for field, value in told.items() if value is not None}
            audit(session, author, "change user", f"user {name}", reason, **given)
            session.flush()
            return user_of(row)

    def note_failure(self, name: str, lock_s: Callable[[int], float]) -> None:
        """Count a wrong attempt to log in; nobody may try for `lock_s(number of wrong ones in a row)` seconds."""
        with self._database.writing() as session:
            row = _find(session, name, lock=True)
            row.failures += 1
            if (seconds := lock_s(row.failures)) > 0:
                row.locked_until = now() + timedelta(seconds=seconds)
                audit(session, "sightline", "lock user", f"user {name}", f"{row.failures} wrong attempts to log in")

    def note_success(self, name: str) -> None:
        """Forget the wrong attempts before a right one."""
        with self._database.writing() as session:
            row = _find(session, name, lock=True)
            row.failures, row.locked_until = 0, None


def _find(session: Session, name: str, lock: bool = False) -> UserRow:
    query = select(UserRow).where(UserRow.name == name)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFoundError(f"there is no user {name}. Look the name up again")
    return row


def _is_last_administrator(session: Session, row: UserRow) -> bool:
    mine = UserRow.role == ADMINISTRATOR, UserRow.disabled_at.is_(None)
    others = select(UserRow.id).where(*mine, UserRow.id != row.id).with_for_update()
    return row.role == ADMINISTRATOR and session.scalar(others) is None


def _check_name(name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME or not name.isprintable() or "/" in name:
        raise InputError(
            f"{name!r} is not a valid user name. Give 1 to {MAX_NAME} letters, no slash, no space at the ends"
        )


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise InputError(f"'{role}' is not a role. Use one of: {', '.join(ROLES)}")


def _revision(row: UserRow) -> str:
    return f"{row.id}-{(row.updated or row.created).timestamp():.6f}"


def user_of(row: UserRow) -> User:
    """A row as a value."""
    disabled = row.disabled_at is not None
    return User(
        row.id, row.name, row.role, row.pin is not None, disabled, row.locked_until, row.created, _revision(row)
    )
