"""The store: the one door to images, labels, versions, verdicts, recipes and people's answers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from sqlalchemy.orm import Session

from sightline.store.database import Database, locate
from sightline.store.images import Images, locate_images
from sightline.store.schema import prepare


class Store:
    """A database, and the images that its rows name by content. Use it as a context manager, or close it."""

    def __init__(self, database: Database, images: Images) -> None:
        self.database = database
        self.images = images

    @classmethod
    def open(cls, url: str | Path | None = None, images: str | Path | None = None) -> Store:
        """Open a store; an empty or missing one is made, an older one migrated.

        `url` is an SQLite file or postgresql://USER@HOST/NAME, by default SIGHTLINE_DB, else sightline.db here.
        `images` is a folder or s3://BUCKET/FOLDER, by default SIGHTLINE_STORE, else beside the SQLite file
        (parts.db: parts-images). Raises StoreError where either cannot be used, SettingError for an address of
        another kind.
        """
        database = Database(locate(url))
        try:
            place = locate_images(images, database.file)
            prepare(database)
            return cls(database, Images(place))
        except BaseException:
            database.close()
            raise

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that reads, with the rows of `sightline.store.tables`."""
        return self.database.reading()

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction that writes: kept whole when the block ends, dropped whole on any exception."""
        return self.database.writing()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
