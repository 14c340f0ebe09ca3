"""One verdict from all views: the worst counts, and a missing view is never OK."""

from __future__ import annotations

import itertools

import pytest

from sightline.core.result import Verdict
from sightline.core.signals import ErrorCode
from sightline.line.decision import Decision, ViewResult, combine, refuse

OK, NG, REVIEW = Verdict.OK, Verdict.NG, Verdict.REVIEW


def results(*verdicts: Verdict) -> list[ViewResult]:
    return [ViewResult(f"v{i}", verdict, float(i), 0.5, "hash") for i, verdict in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("verdicts", "expected"), [((OK, OK), OK), ((OK, REVIEW), REVIEW), ((NG, OK), NG), ((REVIEW, NG), NG)]
)
def test_the_worst_view_counts(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    decision = combine(results(*verdicts), 2, "worst", 1)
    assert decision.verdict is expected and decision.valid and decision.score == 1.0


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [((NG, NG, OK), NG), ((NG, OK, OK), REVIEW), ((OK, OK, OK), OK), ((REVIEW, OK, OK), REVIEW), ((NG, NG, NG), NG)],
)
def test_two_of_three(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    assert combine(results(*verdicts), 3, "k_of_n", 2).verdict is expected


@pytest.mark.parametrize("rule", ["worst", "k_of_n"])
def test_ok_needs_every_view_ok(rule: str) -> None:
    for verdicts in itertools.product((OK, NG, REVIEW), repeat=3):
        decision = combine(results(*verdicts), 3, rule, 2)  # type: ignore[arg-type]
        assert (decision.verdict is OK) == (set(verdicts) == {OK})


@pytest.mark.parametrize("found", [[], results(OK), results(OK, OK, OK)])
def test_a_missing_view_is_ng(found: list[ViewResult]) -> None:
    decision = combine(found, 2, "worst", 1)
    assert decision.verdict is NG and decision.error is ErrorCode.INSPECTION_FAILED and not decision.valid


def test_a_refusal_is_ng_and_never_valid() -> None:
    decision = refuse(ErrorCode.LATE, "late", late=True, results=results(OK))
    assert decision.verdict is NG and not decision.valid
    assert not Decision(OK).valid  # nothing was inspected
