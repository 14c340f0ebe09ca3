"""Users and tokens: what administrators do, and what two of them may not do to each other."""

from __future__ import annotations

import pytest
from tests.web.conftest import PASSWORD, Served

from sightline.core.errors import ConflictError, ForbiddenError, NotFoundError
from sightline.web.client import ApiError, Client


def test_users_are_made_changed_and_listed_page_by_page(served: Served) -> None:
    with served.client("administrator") as client:
        client.add_user("zoë", "operator", PASSWORD)
        assert [user["name"] for user in client.items("/users", limit=2)] == [
            "administrator", "engineer", "operator", "reviewer", "zoë",
        ]  # fmt: skip
        changed = client.patch("/users/zoë", {"role": "reviewer", "reason": "trained"})
        assert changed["role"] == "reviewer"
        with pytest.raises(ConflictError, match="already"):
            client.add_user("zoë", "operator", PASSWORD)
        last = client.get("/audit", subject="user zoë", limit=1)["items"][0]
        assert (last["author"], last["reason"], last["details"]) == ("administrator", "trained", {"role": "reviewer"})


def test_of_two_who_change_the_same_user_the_second_is_told(served: Served) -> None:
    with served.client("administrator") as client:
        etag = client.http.get("/users/operator").headers["etag"]
        client.patch("/users/operator", {"role": "reviewer"}, etag)
        with pytest.raises(ConflictError, match="Read it again") as caught:
            client.patch("/users/operator", {"role": "engineer"}, etag)
        assert caught.value.stale
        assert client.get("/users/operator")["role"] == "reviewer"


def test_the_last_administrator_stays(served: Served) -> None:
    with served.client("administrator") as client:
        for change in ({"role": "engineer"}, {"disabled": True}):
            with pytest.raises(ConflictError, match="last administrator"):
                client.patch("/users/administrator", change)


def test_whoever_is_disabled_is_out_at_once(served: Served) -> None:
    with served.client("operator") as client, served.client("engineer") as other:
        secret = other.add_token("script", ["read"])
        with served.client("administrator") as boss:
            for name in ("operator", "engineer"):
                boss.patch(f"/users/{name}", {"disabled": True})
        with pytest.raises(ForbiddenError):
            client.get("/session")
        with pytest.raises(ForbiddenError, match="wrong"):
            client.log_in("operator", PASSWORD)
        with Client(served.url, secret) as program, pytest.raises(ForbiddenError):
            program.get("/session")


def test_a_token_has_the_rights_of_its_maker_within_its_scopes(served: Served) -> None:
    with served.client("administrator") as boss:
        reads, rules = boss.add_token("reads", ["read"]), boss.add_token("rules", ["admin"])
    with Client(served.url, reads) as program:
        assert program.get("/session")["scopes"] == ["read"]
        with pytest.raises(ForbiddenError, match="no scope 'admin'"):
            program.get("/users")
    with Client(served.url, rules) as program:
        assert len(program.get("/users")["items"]) == 4  # a token needs no CSRF header either
        program.add_user("made", "operator", PASSWORD)
        with pytest.raises(ForbiddenError, match="no scope"):
            program.add_token("more", ["admin"])


def test_a_token_that_was_revoked_or_has_expired_is_worthless(served: Served) -> None:
    with served.client("engineer") as client:
        old = {"name": "old", "scopes": ["read"], "expires": "2020-01-01T00:00:00Z"}
        expired = client.post("/tokens", old, once=False)["secret"]
        secret = client.add_token("script", ["read"])
        number = client.get("/tokens", limit=1)["items"][0]["id"]
        with served.client("reviewer") as other, pytest.raises(NotFoundError):
            other.call("DELETE", f"/tokens/{number}")  # another one's
        client.call("DELETE", f"/tokens/{number}")
    for worthless in (expired, secret, "slt_guessed", "x"):
        with Client(served.url, worthless) as program, pytest.raises(ForbiddenError):
            program.get("/session")


def test_a_cursor_of_another_list_is_refused(served: Served) -> None:
    with served.client("administrator") as client:
        cursor = client.get("/users", limit=1)["next"]
        for path, after in (("/audit", cursor), ("/users", "nonsense!"), ("/audit", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk")):
            with pytest.raises(ApiError, match="not a cursor of this list"):
                client.get(path, after=after)


def test_the_chain_of_the_audit_can_be_checked(served: Served) -> None:
    with served.client("administrator") as client:
        found = client.get("/audit/chain")
        assert found["broken"] == ""
        assert found["rows"] == len(list(client.items("/audit", limit=3)))
