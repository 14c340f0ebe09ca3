"""Restarts are counted, and end."""

from __future__ import annotations

import time

import pytest

from sightline.line.budget import RestartBudget


def test_five_within_a_minute_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = RestartBudget()
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]
    now[0] += 61
    assert budget.spend()


def test_a_reset_renews_it() -> None:
    budget = RestartBudget(restarts=1)
    assert budget.spend() and not budget.spend()
    budget.renew()
    assert budget.spend()
