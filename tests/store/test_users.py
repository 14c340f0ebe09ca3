"""Users, sessions, tokens and stored replies, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.store import Store
from sightline.store.tables.base import now


def test_users_are_kept_changed_and_never_without_an_administrator(store: Store) -> None:
    ann = store.users.add("ann", "administrator", "hash", "ann", first=True)
    with pytest.raises(ConflictError, match="there are users already"):
        store.users.add("eve", "administrator", "hash", "eve", first=True)
    store.users.add("bob", "operator", None, "ann")
    with pytest.raises(ConflictError, match="last administrator"):
        store.users.change("ann", "ann", disabled=True)
    bob = store.users.change("bob", "ann", role="administrator", pin="pinhash", reason="holiday")
    assert (bob.role, bob.has_pin) == ("administrator", True)
    assert store.users.change("ann", "bob", role="engineer", revision=ann.revision).role == "engineer"
    with pytest.raises(ConflictError, match="Read it again"):
        store.users.change("ann", "bob", role="operator", revision=ann.revision)
    assert [user.name for user in store.users.page("ann")] == ["bob"]
    assert store.users.count() == 1  # bob has no password: with people alone in it, nobody could log in
    for wrong in ("", " ann", "a/b", "x" * 65, "a\nb"):
        with pytest.raises(InputError):
            store.users.add(wrong, "operator", None, "ann")
    with pytest.raises(InputError, match="Use one of"):
        store.users.add("zed", "king", None, "ann")


def test_wrong_attempts_are_counted_until_a_right_one(store: Store) -> None:
    store.users.add("ann", "administrator", "hash", "ann")
    for _ in range(3):
        store.users.note_failure("ann", lambda failures: 60.0 if failures >= 3 else 0.0)
    found = store.users.credentials("ann")
    assert found is not None and found.user.locked_until is not None
    assert (found.failures, found.user.locked_until > now()) == (3, True)
    store.users.note_success("ann")
    found = store.users.credentials("ann")
    assert found is not None and (found.failures, found.user.locked_until) == (0, None)


def test_sessions_open_and_end(store: Store) -> None:
    ann = store.users.add("ann", "administrator", "hash", "ann")
    store.access.open_session("a" * 64, ann, by_pin=False)
    store.access.open_session("b" * 64, ann, by_pin=True, instead_of="a" * 64)
    assert store.access.session("a" * 64) is None
    found = store.access.session("b" * 64)
    assert found is not None and (found.user.name, found.by_pin) == ("ann", True)
    store.access.touch("b" * 64)
    store.access.clear(now() - timedelta(hours=1))
    assert store.access.session("b" * 64) is not None
    store.access.close_sessions(ann, but="b" * 64)
    store.access.close_session("b" * 64, "ann")
    store.access.close_session("b" * 64, "ann")
    assert store.access.session("b" * 64) is None
    assert [entry.action for entry in store.audit.page(subject="user ann")] == [
        "log out",
        "log in",
        "log in",
        "add user",
    ]


def test_tokens_are_found_until_they_are_worthless(store: Store) -> None:
    ann = store.users.add("ann", "administrator", "hash", "ann")
    token = store.access.add_token("c" * 64, ann, "MES", ["read"], None, "ann")
    store.access.add_token("d" * 64, ann, "old", ["read"], now() - timedelta(seconds=1), "ann")
    found = store.access.token("c" * 64)
    assert found is not None and found[0].scopes == ("read",)
    assert store.access.token("d" * 64) is None
    assert [one.name for one in store.access.tokens("ann", limit=1)] == ["old"]
    with pytest.raises(NotFoundError):
        store.access.revoke(token.id, "bob", owner="bob")
    store.access.revoke(token.id, "ann")
    assert store.access.token("c" * 64) is None


def test_a_reply_is_given_once_and_again(store: Store) -> None:
    assert store.replies.begin("k" * 64, "r" * 64) is None
    with pytest.raises(ConflictError, match="in progress"):
        store.replies.begin("k" * 64, "r" * 64)
    store.replies.keep("k" * 64, 201, {"etag": '"1"'}, b"{}")
    kept = store.replies.begin("k" * 64, "r" * 64)
    assert kept is not None and (kept.status, kept.headers, kept.body) == (201, {"etag": '"1"'}, b"{}")
    with pytest.raises(ConflictError, match="another request"):
        store.replies.begin("k" * 64, "s" * 64)
    store.replies.forget("k" * 64)
    assert store.replies.begin("k" * 64, "s" * 64) is None
