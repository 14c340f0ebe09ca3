"""Findings about a product in the store: those of the last check, with what was decided, and decided one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.data.curation.findings import NO_ACTION, Decision, Finding, State, Verb
from sightline.data.curation.result import Result
from sightline.data.curation.stored import StoreDecisionLog, apply_all, names_in_store
from sightline.store.store import Store

OPEN, APPLIED, DISMISSED = STATES = ("open", "applied", "dismissed")


@dataclass(frozen=True, slots=True)
class Decided:
    """A finding of the last check and what was decided about it; `names` are the samples that it is about."""

    key: str
    kind: str
    severity: str
    reason: str
    remedy: str
    action: str
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    state: str
    when: str | None
    note: str

    @property
    def revision(self) -> str:
        """Changes with every decision."""
        return f"{self.key}-{self.state}-{self.when or ''}"


def findings(store: Store, product: str, state: str | None = None, after: int = 0, limit: int = 50) -> list[Decided]:
    """Findings of the last check, worst first, those after a place in that order. Raises NotFoundError without one."""
    log = StoreDecisionLog(store, product, "")
    current, decisions = _last(log, product), log.decisions()
    names = names_in_store(store, product, version=False)
    every = [_decided(finding, decisions.get(finding.key), names) for finding in current.values()]
    return [one for one in every if state in {None, one.state}][after : after + limit]


def finding(store: Store, product: str, key: str) -> Decided:
    """One finding. Raises NotFoundError."""
    log = StoreDecisionLog(store, product, "")
    found = _find(_last(log, product), key)
    return _decided(found, log.decisions().get(key), names_in_store(store, product, version=False))


def decide(
    store: Store, product: str, key: str, state: str, author: str, note: str = "", revision: str | None = None
) -> Decided:
    """Apply, dismiss or reopen a finding; what is applied is done to the samples at once.

    Raises NotFoundError, InputError where there is nothing to apply, ConflictError where somebody has decided before.
    """
    if state not in STATES:
        raise InputError(f"'{state}' is not a decision. Use one of: {', '.join(STATES)}")
    log = StoreDecisionLog(store, product, author)
    found = _find(_last(log, product), key)
    now = finding(store, product, key)
    if revision is not None and revision != now.revision:
        raise ConflictError(f"finding {key} is {now.state} since {now.when}. Look at it again, then decide", stale=True)
    if state == now.state:
        raise ConflictError(f"finding {key} is {state} already")
    if state == APPLIED:
        if found.action.verb is Verb.NONE:
            raise InputError(f"finding {key} has nothing to apply: {found.remedy} Dismiss it when that is done")
        apply_all(store, product, [found.action], author)
    if state == OPEN:
        log.forget(key)
    else:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        log.keep(Decision(key, State(state), when, note, found.action if state == APPLIED else NO_ACTION))
    store.audit.note(author, f"{state} finding", f"finding {key}", note, product=product)
    return finding(store, product, key)


def _last(log: StoreDecisionLog, product: str) -> dict[str, Finding]:
    result = Result.of_json(log.last(), None)
    if result is None:
        raise NotFoundError(f"{product}: was not checked yet. Ask for a job of the kind check")
    return {finding.key: finding for finding in result.findings}


def _find(current: dict[str, Finding], key: str) -> Finding:
    if key not in current:
        raise NotFoundError(f"no finding of the last check is called {key!r}. Look at the list again")
    return current[key]


def _decided(finding: Finding, decision: Decision | None, names: dict[str, str]) -> Decided:
    ids = [subject.rpartition("/")[2] for subject in finding.subjects]
    stems: list[tuple[str, str]] = [(one.partition(".")[0], one.partition("#")[2]) for one in ids]
    keys = [f"{stem}#{copy}" if copy else stem for stem, copy in stems]
    given: dict[str, Any] = {"state": OPEN, "when": None, "note": ""}
    if decision is not None:
        given = {"state": str(decision.state), "when": decision.when, "note": decision.note}
    return Decided(
        key=finding.key,
        kind=str(finding.kind),
        severity=str(finding.severity),
        reason=finding.reason,
        remedy=finding.remedy,
        action=str(finding.action),
        names=tuple(names.get(key, key) for key in keys),
        hashes=tuple(stem for stem, _ in stems),
        **given,
    )
