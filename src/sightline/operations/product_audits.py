"""A product audit step by step: a photo, what a person finds, and what the model says before or after that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sightline
from sightline.core.errors import ConflictError, InputError
from sightline.store.product_audits import AuditPlan, Finding, ProductAudit
from sightline.store.records import Record
from sightline.store.store import Store
from sightline.store.tables.base import now

Inspect = Callable[[str, bytes], dict[str, Any]]  # a recipe's hash and an encoded picture -> a result as JSON


def add_plan(store: Store, plan: AuditPlan, author: str) -> AuditPlan:
    """Keep a plan. Raises InputError for a limit sample that is no picture of the store, and as the store does."""
    for step in plan.steps:
        if step.limit_sample is not None and not store.images.holds(step.limit_sample):
            told = f"{step.title}: the limit sample {step.limit_sample[:16]} is no picture of this store"
            raise InputError(f"{told}. Add the picture first")
    return store.product_audits.add_plan(plan, author)


def add_limit_sample(store: Store, data: bytes) -> str:
    """Keep a picture of what is just acceptable: its hash, for a plan's step. One that no plan names is an orphan,
    which the store's check finds. Raises InputError for what is no image.
    """
    return store.images.put(data, "limit sample").hash


def add_photo(store: Store, id: int, data: bytes) -> str:
    """Keep a photo for an audit: its hash. Raises InputError for what is no image, ConflictError for a closed audit."""
    store.product_audits.get(id)
    hash = store.images.put(data, "photo").hash
    store.product_audits.keep_photo(id, hash)
    return hash


def opinion(store: Store, id: int, step: int, photo: str, inspect: Inspect) -> dict[str, Any]:
    """What the model says of a step's photo. Raises ConflictError in a blind plan before the person has answered that
    step with that photo: one answered step would tell of the photos of all others.
    """
    found = store.product_audits.get(id)
    if found.plan.recipe_hash is None:
        raise InputError(f"the plan {found.plan.name} names no recipe. Make one that does")
    if found.plan.blind and all((one.step, one.photo) != (step, photo) for one in found.findings):
        told = f"step {step} is to be answered first, with this photo"
        raise ConflictError(f"{told}: this plan shows the model's opinion afterwards")
    return _opinion(store, found, photo, inspect)


def answer(
    store: Store, id: int, step: int, said: str, reason: str, value: float | None, photo: str | None, author: str,
    inspect: Inspect,
) -> ProductAudit:  # fmt: skip
    """Keep what a person found at a step, together with what the model says of the photo. Raises as the store does."""
    found = store.product_audits.get(id)
    seen: dict[str, Any] = {}
    if photo is not None and found.plan.recipe_hash is not None and found.state == "open":
        seen_before = not found.plan.blind or any(one.photo == photo for one in found.findings)
        seen = {**_opinion(store, found, photo, inspect), "seen_before": seen_before}
    return store.product_audits.answer(id, Finding(step, said, reason, value, photo, seen, author, now()))


def close(store: Store, id: int, author: str) -> Record:
    """Close an audit: its record, to be signed, and its deviations. Raises ConflictError where a step is open."""
    return store.product_audits.close(id, sightline.__version__, author)


def _opinion(store: Store, found: ProductAudit, photo: str, inspect: Inspect) -> dict[str, Any]:
    recipe = found.plan.recipe_hash
    assert recipe is not None
    store.product_audits.check_photo(found.id, photo)
    result = inspect(recipe, store.images.read(photo))
    return {"verdict": result["verdict"], "score": result["score"], "reason": result["reason"], "recipe": recipe}
