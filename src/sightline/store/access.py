"""Who has access: sessions of people who are logged in, and tokens of programs. Only hashes of both are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from sightline.core.errors import NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.line import UserRow
from sightline.store.tables.web import SessionRow, TokenRow
from sightline.store.users import User, user_of


@dataclass(frozen=True, slots=True)
class Login:
    """A session that is open: whose, since when, when it was last used, and whether a PIN opened it."""

    user: User
    created: datetime
    seen: datetime
    by_pin: bool


@dataclass(frozen=True, slots=True)
class Token:
    """A program's token, without the secret."""

    id: int
    user: str
    name: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None
    revoked: datetime | None


class Access:
    """Sessions and tokens of a store, both found by the SHA-256 of their secret."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_session(self, digest: str, user: User, by_pin: bool, instead_of: str | None = None) -> None:
        """Keep a new session; the one that it takes the place of ends in the same moment."""
        with self._database.writing() as session:
            if instead_of is not None:
                session.execute(delete(SessionRow).where(SessionRow.id == instead_of))
            session.add(SessionRow(id=digest, user_id=user.id, created=now(), seen=now(), by_pin=by_pin))
            audit(session, user.name, "log in", f"user {user.name}", by_pin=by_pin)

    def session(self, digest: str) -> Login | None:
        """The open session; None where there is none, or where its user was disabled."""
        query = select(SessionRow, UserRow).join(UserRow, UserRow.id == SessionRow.user_id)
        with self._database.reading() as session:
            found = session.execute(query.where(SessionRow.id == digest)).one_or_none()
        if found is None or found[1].disabled_at is not None:
            return None
        return Login(user_of(found[1]), found[0].created, found[0].seen, found[0].by_pin)

    def touch(self, digest: str) -> None:
        """Note that a session is in use."""
        with self._database.recording() as connection:
            connection.execute(update(SessionRow).where(SessionRow.id == digest).values(seen=now()))

    def close_session(self, digest: str, author: str) -> None:
        """End a session."""
        with self._database.writing() as session:
            if session.execute(delete(SessionRow).where(SessionRow.id == digest)).rowcount:  # type: ignore[attr-defined]
                audit(session, author, "log out", f"user {author}")

    def close_sessions(self, user: User, but: str = "") -> None:
        """End all sessions of a user but one: the password or the role has changed."""
        with self._database.writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.user_id == user.id, SessionRow.id != but))

    def clear(self, unused_since: datetime) -> None:
        """Forget sessions that nobody has used since then."""
        with self._database.writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.seen < unused_since))

    def add_token(
        self, digest: str, user: User, name: str, scopes: Sequence[str], expires: datetime | None, author: str
    ) -> Token:
        """Keep a new token."""
        row = TokenRow(
            user_id=user.id, name=name, hash=digest, scopes=list(scopes), created=now(), expires=expires, revoked=None
        )
        with self._database.writing() as session:
            session.add(row)
            session.flush()
            audit(session, author, "add token", f"token {row.id}", user=user.name, name=name, scopes=list(scopes))
            return _token(row, user.name)

    def token(self, digest: str) -> tuple[Token, User] | None:
        """A token that is valid now, and whose it is."""
        query = select(TokenRow, UserRow).join(UserRow, UserRow.id == TokenRow.user_id)
        with self._database.reading() as session:
            found = session.execute(query.where(TokenRow.hash == digest)).one_or_none()
        if found is None or found[1].disabled_at is not None or found[0].revoked is not None:
            return None
        if found[0].expires is not None and found[0].expires <= now():
            return None
        return _token(found[0], found[1].name), user_of(found[1])

    def tokens(self, user: str | None = None, before: int | None = None, limit: int = 50) -> tuple[Token, ...]:
        """The newest tokens, of one user or of all; those older than the id `before`."""
        query = select(TokenRow, UserRow.name).join(UserRow, UserRow.id == TokenRow.user_id)
        if user is not None:
            query = query.where(UserRow.name == user)
        if before is not None:
            query = query.where(TokenRow.id < before)
        with self._database.reading() as session:
            found = session.execute(query.order_by(TokenRow.id.desc()).limit(limit))
            return tuple(_token(row, name) for row, name in found)

    def of_scope(self, scope: str) -> tuple[Token, ...]:
        """Tokens of that scope that nobody has revoked."""
        query = select(TokenRow, UserRow.name).join(UserRow, UserRow.id == TokenRow.user_id)
        with self._database.reading() as session:
            found = session.execute(query.where(TokenRow.revoked.is_(None)).order_by(TokenRow.id))
            return tuple(_token(row, name) for row, name in found if scope in row.scopes)

    def revoke(self, id: int, author: str, owner: str | None = None) -> None:
        """Make a token worthless; with `owner`, only one of that user. Raises NotFoundError."""
        query = select(TokenRow, UserRow.name).join(UserRow, UserRow.id == TokenRow.user_id).where(TokenRow.id == id)
        with self._database.writing() as session:
            found = session.execute(query).one_or_none()
            if found is None or (owner is not None and found[1] != owner):
                raise NotFoundError(f"there is no token {id}. Look it up again")
            found[0].revoked = found[0].revoked or now()
            audit(session, author, "revoke token", f"token {id}", user=found[1])


def _token(row: TokenRow, user: str) -> Token:
    return Token(row.id, user, row.name, tuple(row.scopes), row.created, row.expires, row.revoked)
