"""The first user, logging in and out, and what keeps others out."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.web.conftest import PASSWORD, Served

from sightline.core.errors import BusyError, ForbiddenError
from sightline.operations import people
from sightline.store.tables.base import now, to_us
from sightline.web.api.identity import COOKIE
from sightline.web.client import ApiError

Serve = Callable[..., Served]


def test_the_first_user_needs_the_token_of_the_console_and_it_works_once(serve: Serve) -> None:
    served = serve(empty=True)
    with served.client() as client:
        assert client.get("/health")["set_up"] is False
        with pytest.raises(ForbiddenError, match="console shows it"):
            client.set_up("guessed", "ann", PASSWORD)
        made = client.set_up(served.setup_token, "ann", PASSWORD)
        assert (made["name"], made["role"]) == ("ann", "administrator")
        with pytest.raises(ForbiddenError):
            client.set_up(served.setup_token, "eve", PASSWORD)
        assert client.get("/health")["set_up"] is True
        assert client.log_in("ann", PASSWORD)["role"] == "administrator"


@pytest.mark.parametrize("password", ["short", "x" * 129])
def test_weak_passwords_are_refused_with_what_would_do(serve: Serve, password: str) -> None:
    served = serve(empty=True)
    with served.client() as client, pytest.raises(ApiError, match="10 to 128 characters"):
        client.set_up(served.setup_token, "ann", password)


def test_a_session_ends_with_log_out_and_its_cookie_is_worthless_then(served: Served) -> None:
    with served.client("operator") as client:
        cookies = dict(client.http.cookies)
        assert client.get("/session")["user"] == "operator"
        client.log_out()
        client.http.cookies.update(cookies)
        with pytest.raises(ForbiddenError, match="nobody is logged in"):
            client.get("/session")


def test_a_cookie_of_before_never_becomes_a_session(served: Served) -> None:
    """Session fixation: whoever plants a cookie must not be logged in with the victim."""
    with served.client() as client:
        client.http.cookies.set(COOKIE, "planted", domain="127.0.0.1")
        client.log_in("operator", PASSWORD)
        assert "planted" not in client.http.cookies.values()
        first = client.http.cookies[COOKIE]
        client.http.cookies.clear()
        client.http.cookies.set(COOKIE, first, domain="127.0.0.1")
        client.log_in("reviewer", PASSWORD)
        assert first not in client.http.cookies.values()
    with served.client() as client:
        client.http.cookies.set(COOKIE, first)
        with pytest.raises(ForbiddenError):  # the session that was taken the place of has ended
            client.get("/session")


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(served: Served) -> None:
    with served.client() as client:
        answer = client.http.post("/session", json={"name": "operator", "password": PASSWORD})
        cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie  # this server speaks no TLS


def test_behind_a_proxy_the_cookie_is_for_tls_alone(serve: Serve) -> None:
    served = serve(behind_proxy=True, allow_hosts=("inspection.example.com",))
    with served.client() as client:
        answer = client.http.post("/session", json={"name": "operator", "password": PASSWORD})
    assert answer.headers["set-cookie"].startswith("__Host-")
    assert "secure" in answer.headers["set-cookie"].lower()
    assert "max-age" in answer.headers["strict-transport-security"]


def test_a_change_by_cookie_needs_the_header_that_only_our_pages_know(served: Served) -> None:
    with served.client("administrator") as client:
        right = client.http.headers.pop("X-CSRF-Token")
        for wrong in (None, "guessed", "é"):
            headers = {} if wrong is None else {"X-CSRF-Token": wrong.encode()}
            answer = client.http.post("/users", json={}, headers=headers)
            assert answer.status_code == 403, answer.text
            assert "X-CSRF-Token" in answer.json()["detail"]
        assert client.http.post("/users", json={}, headers={"X-CSRF-Token": right}).status_code == 422
        assert client.get("/session")["csrf_token"] == right


def test_too_many_wrong_passwords_lock_the_user_for_a_while(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with served.client() as client:
        for _ in range(people.FREE_FAILURES):
            with pytest.raises(ForbiddenError, match="name or password is wrong"):
                client.log_in("operator", "wrong password")
        with pytest.raises(BusyError, match="Try again in") as locked:
            client.log_in("operator", PASSWORD)
        assert 0 < locked.value.wait_s <= people.FIRST_LOCK_S
        with served.store.writing() as session:
            session.execute(text(f"UPDATE users SET locked_until = {to_us(now())}"))
        client.log_in("operator", PASSWORD)
    entry = served.store.audit.page(subject="user operator")
    assert "lock user" in [one.action for one in entry]


def test_an_unknown_name_is_told_the_same_as_a_wrong_password(served: Served) -> None:
    with served.client() as client:
        told = []
        for name in ("nobody", "operator"):
            with pytest.raises(ForbiddenError) as caught:
                client.log_in(name, "wrong password")
            told.append(str(caught.value))
    assert told[0] == told[1]


def test_one_address_may_not_try_all_users(serve: Serve) -> None:
    served = serve(logins_per_minute=3)
    with served.client() as client:
        for number in range(3):
            with pytest.raises(ForbiddenError):
                client.log_in(f"user{number}", "wrong password")
        with pytest.raises(BusyError, match="from here"):
            client.log_in("operator", PASSWORD)


def test_who_does_nothing_is_logged_out(serve: Serve) -> None:
    served = serve(idle_minutes=5)
    with served.client("operator") as client:
        client.get("/session")
        with served.store.writing() as session:
            session.execute(text(f"UPDATE sessions SET seen = {to_us(now() - timedelta(minutes=6))}"))
        with pytest.raises(ForbiddenError, match="nobody is logged in"):
            client.get("/session")


def test_a_session_ends_after_so_many_hours_in_use(serve: Serve) -> None:
    served = serve(session_hours=1)
    with served.client("operator") as client:
        with served.store.writing() as session:
            session.execute(text(f"UPDATE sessions SET created = {to_us(now() - timedelta(hours=2))}"))
        with pytest.raises(ForbiddenError):
            client.get("/session")


def test_operators_take_over_a_shared_screen_by_a_pin_where_that_is_allowed(serve: Serve) -> None:
    served = serve(pin_switch=True)
    with served.client("administrator") as client:
        client.patch("/users/operator", {"pin": "4711"})
        client.patch("/users/engineer", {"pin": "4712"})
    with served.client("reviewer") as client:
        before = client.http.cookies[COOKIE]
        found = client.switch("operator", "4711")
        assert (found["user"], found["role"], found["by_pin"]) == ("operator", "operator", True)
        assert client.http.cookies[COOKIE] != before
        with pytest.raises(ForbiddenError, match="PIN is for operators"):
            client.switch("engineer", "4712")
        with pytest.raises(ForbiddenError, match="wrong"):
            client.switch("operator", "4712")


def test_without_the_setting_no_pin_works(served: Served) -> None:
    with served.client("reviewer") as client, pytest.raises(ForbiddenError, match="switched off"):
        client.switch("operator", "4711")


def test_a_new_password_ends_the_other_sessions(served: Served) -> None:
    with served.client("operator") as here, served.client("operator") as there:
        wrong = {"password": "not it at all", "new_password": "another long one"}
        with pytest.raises(ForbiddenError):
            here.patch("/session/user", wrong)
        here.patch("/session/user", {**wrong, "password": PASSWORD})
        assert here.get("/session")["user"] == "operator"
        with pytest.raises(ForbiddenError):
            there.get("/session")


def test_logging_in_takes_a_moment_but_no_more(served: Served) -> None:
    start = time.perf_counter()
    with served.client("operator"):
        assert time.perf_counter() - start < 5


def test_no_secret_is_in_an_answer_the_database_or_the_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answers = []
    with served.client("engineer") as client:
        token = client.add_token("MES", ["read"])
        cookie = client.http.cookies[COOKIE]
        answers.append(client.http.get("/tokens").text)
        answers.append(
            client.http.post("/session", json={"name": "engineer", "password": ["typed wrong-" + token]}).text
        )
    with served.client("administrator") as client:
        answers += [client.http.get(path).text for path in ("/users", "/tokens", "/audit?limit=500")]
    database = served.store.database.file
    assert database is not None
    served.store.settle()
    kept = database.read_bytes() + database.with_name(database.name + "-wal").read_bytes()
    logged = " ".join(one.getMessage() for one in caplog.records if not one.name.startswith("http"))  # not the client
    for secret in (token, cookie, PASSWORD):
        assert not any(secret in answer for answer in answers)
        assert secret.encode() not in kept
        assert secret not in logged
