"""Evaluations of recipes: the figures, and how each picture was judged, so that other thresholds can be weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from sightline.core.errors import NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.line import EvaluationRow

MAX_LISTED = 50


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """An evaluation without its pictures: of which recipe, on which data, by which job, None where it was none."""

    id: int
    recipe_hash: str
    data: str
    job: int | None
    figures: Mapping[str, Any]
    author: str
    created: datetime


FIELDS = tuple(StoredEvaluation.__dataclass_fields__)


class Evaluations:
    """The evaluations of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        recipe_hash: str,
        data: str,
        figures: Mapping[str, Any],
        judged: Mapping[str, Sequence[Any]],
        author: str,
        job: int | None = None,
    ) -> StoredEvaluation:
        """Keep an evaluation; `figures` and `judged` are plain JSON values."""
        with self._database.writing() as session:
            row = EvaluationRow(recipe_hash=recipe_hash, data=data, job=job, author=author, created=now())
            row.figures, row.judged = dict(figures), {name: list(values) for name, values in judged.items()}
            session.add(row)
            session.flush()
            audit(session, author, "evaluate", f"recipe {recipe_hash}", data=data, evaluation=row.id)
            return _stored(row)

    def of(self, recipe_hash: str) -> tuple[StoredEvaluation, ...]:
        """The evaluations of a recipe, the newest first, at most 50."""
        mine = select(EvaluationRow).where(EvaluationRow.recipe_hash == recipe_hash)
        with self._database.reading() as session:
            query = mine.order_by(EvaluationRow.id.desc()).limit(MAX_LISTED)
            return tuple(_stored(row) for row in session.scalars(query))

    def judged(self, id: int) -> Mapping[str, Sequence[Any]]:
        """How each picture was judged. Raises NotFoundError."""
        with self._database.reading() as session:
            row = session.get(EvaluationRow, id)
            if row is None:
                raise NotFoundError(f"there is no evaluation {id}. Look it up again")
            return dict(row.judged)


def _stored(row: EvaluationRow) -> StoredEvaluation:
    return StoredEvaluation(**{name: getattr(row, name) for name in FIELDS})
