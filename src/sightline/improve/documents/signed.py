"""The part of a report that says who signed its record, when, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.improve.documents.document import Rows, Section
from sightline.store.records import Record, Signature


def signed_by(record: Record, signatures: Sequence[Signature]) -> list[Section]:
    """A section with the signatures; each was given with the password, and is sealed to the record's hash."""
    if not signatures:
        return [Section("Signatures", ("Not signed.",))]
    rows = tuple(
        (one.author, one.role, one.meaning, f"{one.created:%Y-%m-%d %H:%M:%S} UTC", one.comment, one.hash[:16])
        for one in signatures
    )
    heads = ("Name", "Role", "Meaning", "Time", "Comment", "Signature")
    told = f"Each was given with the person's password, for the record with the SHA-256 {record.hash}."
    return [Section("Signatures", (Rows(heads, rows, (1, 1, 1, 1.6, 1.6, 1.4)), told))]
