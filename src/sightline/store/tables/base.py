"""What all tables share: keys, moments in time, and names of constraints that both databases agree on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Dialect, Double, Integer, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, mapped_column

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 (UTC) of an aware datetime. Raises ValueError for one without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone. Give it one, for instance datetime.now(UTC)")
    return (moment - EPOCH) // MICROSECOND


def from_us(moment_us: int) -> datetime:
    """The moment in UTC."""
    return EPOCH + moment_us * MICROSECOND


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970: one integer that both databases sort and divide alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else from_us(value)


LONG = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only columns that are called INTEGER
Key = Annotated[int, mapped_column(LONG, primary_key=True)]
Hash = Annotated[str, mapped_column(String(64))]


class Base(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it under this name
        datetime: Moment,
        int: LONG,
        float: Double,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }
