"""Embeddings of kept pictures: which parts look like this one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import Select, and_, select
from sqlalchemy.dialects import postgresql, sqlite

from sightline.store.database import Database
from sightline.store.inspections import Record, record_of
from sightline.store.review_queue import REVIEW
from sightline.store.reviews import ANSWERED, Review, review_of
from sightline.store.tables.line import EmbeddingRow, InspectionRow, ReviewRow

WINDOW = 5000  # pictures, the newest, among which similar ones are looked for
MAX_ANSWERED = 1000  # answers, the newest, likewise
MAX_DIMENSIONS = 4096
DECIDED = and_(ReviewRow.inspection_id == InspectionRow.id, ReviewRow.state == ANSWERED, ReviewRow.purpose == REVIEW)


@dataclass(frozen=True, slots=True)
class Similar:
    """A part that looks like another one: its picture's hash, its view, how alike (-1..1), and its answer, if any."""

    part: Record
    view: str
    hash: str
    similarity: float
    review: Review | None


def pack(embedding: ArrayLike) -> bytes:
    """An embedding (e,) as it is kept: of length 1, float16; empty where it has no length or is no finite one."""
    vector = np.asarray(embedding, np.float64).ravel()
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0 or not 0 < vector.size <= MAX_DIMENSIONS:
        return b""
    return (vector / length).astype("<f2").tobytes()


class Embeddings:
    """The embeddings of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        make = (sqlite if database.is_sqlite else postgresql).insert(EmbeddingRow)
        self._keep = make.on_conflict_do_nothing(index_elements=["part", "view"])

    def keep(self, part: str, view: str, hash: str, recipe_hash: str, vector: bytes) -> None:
        """Keep the embedding (as `pack` makes it) of a part's picture, unless one is there or this one is empty."""
        if vector:
            values = {"part": part, "view": view, "hash": hash, "recipe_hash": recipe_hash, "vector": vector}
            with self._database.recording() as connection:
                connection.execute(self._keep, values)

    def similar(self, hash: str, most: int = 12, answered: bool = False) -> tuple[Similar, ...]:
        """Up to `most` parts whose pictures, by the same recipe, are the most like this one; `answered`: only those
        that a person has decided.

        They are looked for among the newest 5,000 pictures of that recipe, or the newest 1,000 answers. Alike is the
        cosine of the two embeddings less the mean of all that were looked at: pictures of one product share most of
        what they show, and that says nothing. The same picture again is left out. Empty where none is known of it.
        """
        row = EmbeddingRow
        with self._database.reading() as session:
            mine = session.scalar(select(row).where(row.hash == hash).order_by(row.id.desc()).limit(1))
            if mine is None:
                return ()
            # The newest of each picture: a line that is shown the same file again has one answer, not ten.
            newest = {found.hash: found for found in reversed(session.execute(_others(mine, answered)).all())}
            others = [one for one in newest.values() if len(one.vector) == len(mine.vector)]
            cosine = _centred_cosine(mine.vector, [one.vector for one in others])
            best = {others[at].id: float(cosine[at]) for at in np.argsort(-cosine, kind="stable")[:most]}
            told = {found.id: found for found in session.execute(_whole(best))}  # of several answers the last one
        return tuple(_similar(told[number], alike) for number, alike in best.items() if number in told)


def _others(mine: EmbeddingRow, answered: bool) -> Select[*tuple[Any, ...]]:
    """Embeddings that may be compared with this one, the newest first."""
    row = EmbeddingRow
    query = select(row.id, row.hash, row.vector)
    query = query.where(row.recipe_hash == mine.recipe_hash, row.view == mine.view, row.hash != mine.hash)
    if not answered:
        return query.order_by(row.id.desc()).limit(WINDOW)
    query = query.join(InspectionRow, InspectionRow.key == row.part).join(ReviewRow, DECIDED)
    return query.order_by(ReviewRow.id.desc()).limit(MAX_ANSWERED)


def _whole(numbers: Collection[int]) -> Select[*tuple[Any, ...]]:
    """Embeddings with the parts that they are of, and each answer about these."""
    row = EmbeddingRow
    query = select(row.id, row.view, row.hash, InspectionRow, ReviewRow).where(row.id.in_(numbers))
    query = query.join(InspectionRow, InspectionRow.key == row.part).outerjoin(ReviewRow, DECIDED)
    return query.order_by(ReviewRow.id)


def _similar(found: Any, alike: float) -> Similar:
    answer = None if found.ReviewRow is None else review_of(found.ReviewRow)
    return Similar(record_of(found.InspectionRow), found.view, found.hash, alike, answer)


def _centred_cosine(mine: bytes, others: Sequence[bytes]) -> NDArray[np.float32]:
    """The cosine (N,) of an embedding with each of the others, all less their mean."""
    if not others:
        return np.zeros(0, np.float32)
    vectors = np.frombuffer(b"".join((mine, *others)), "<f2").astype(np.float32).reshape(len(others) + 1, -1)
    vectors = vectors - vectors.mean(axis=0)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), np.float32(1e-6))
    return np.asarray((vectors[1:] @ vectors[0]) / (lengths[1:] * lengths[0]), np.float32)
