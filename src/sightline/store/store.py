"""The store: the one door to images, labels, versions, verdicts, recipes and people's answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from sqlalchemy.orm import Session

from sightline.core.progress import Progress, unwatched
from sightline.core.sample import Sample
from sightline.store.access import Access
from sightline.store.adaptations import Adaptations
from sightline.store.alarms import Alarms
from sightline.store.annotations import Annotations
from sightline.store.audit_log import AuditLog
from sightline.store.backup import KEEP, Backup, back_up, restore_backup
from sightline.store.book import Book
from sightline.store.check import GRACE_S, Check, check
from sightline.store.database import Database, locate, prepare
from sightline.store.embeddings import Embeddings
from sightline.store.evaluations import Evaluations
from sightline.store.images import Images, locate_images
from sightline.store.ingest import Ingest, Ingested
from sightline.store.inspections import Inspections
from sightline.store.jobs import Jobs
from sightline.store.parts import Parts
from sightline.store.places import DefectPlaces
from sightline.store.product_audits import ProductAudits
from sightline.store.recipes import Recipes
from sightline.store.records import Records
from sightline.store.replies import Replies
from sightline.store.review_figures import ReviewFigures
from sightline.store.reviews import Reviews
from sightline.store.rollouts import Rollouts
from sightline.store.samples import Catalogue, samples
from sightline.store.schedules import Schedules
from sightline.store.senders import Senders
from sightline.store.stations import Stations
from sightline.store.statistics import Statistics
from sightline.store.studies import Studies
from sightline.store.users import Users
from sightline.store.versions import Versions

StoreLocation = tuple[str | None, str | None]  # the database and the images; None: as the environment says


class Store:
    """A database, and the images that its rows name by content. Use it as a context manager, or close it."""

    def __init__(self, database: Database, images: Images) -> None:
        self.database = database
        self.images = images
        self.catalogue = Catalogue(database)
        self.annotations = Annotations(database)
        self.book = Book(database)
        self.versions = Versions(database)
        self.recipes = Recipes(database)
        self.evaluations = Evaluations(database)
        self.inspections = Inspections(database)
        self.embeddings = Embeddings(database)
        self.adaptations = Adaptations(database)
        self.alarms = Alarms(database)
        self.audit = AuditLog(database)
        self.users = Users(database)
        self.access = Access(database)
        self.replies = Replies(database)
        self.jobs = Jobs(database)
        self.parts = Parts(database)
        self.reviews = Reviews(database)
        self.review_figures = ReviewFigures(database)
        self.stations = Stations(database)
        self.statistics = Statistics(database, self.inspections)
        self.places = DefectPlaces(database)
        self.records = Records(database)
        self.product_audits = ProductAudits(database)
        self.studies = Studies(database)
        self.rollouts = Rollouts(database)
        self.schedules = Schedules(database)
        self.senders = Senders(database, self.inspections.counts)

    @classmethod
    def open(cls, url: str | Path | None = None, images: str | Path | None = None, *, create: bool = True) -> Store:
        """Open a store; a missing one is made unless `create` is False, an older one migrated.

        `url` is an SQLite file or postgresql://USER@HOST/NAME, by default SIGHTLINE_DB, else sightline.db here.
        `images` is a folder or s3://BUCKET/FOLDER, by default SIGHTLINE_STORE, else beside the SQLite file
        (parts.db: parts-images). Raises StoreError where either cannot be used, SettingError for an address of
        another kind.
        """
        database = Database(locate(url))
        try:
            location = locate_images(images, database.file)
            prepare(database, create)
            return cls(database, Images(location))
        except BaseException:
            database.close()
            raise

    @property
    def location(self) -> tuple[str, str]:
        """What opens this store in another process: database and images. A password is in it: show it nowhere."""
        url, file = self.database.url, self.database.file
        return str(file) if file else url.render_as_string(hide_password=False), self.images.blobs.name

    def add(
        self,
        samples: Iterable[Sample],
        product: str,
        root: Path | None = None,
        author: str = "import",
        progress: Progress = unwatched,
    ) -> Ingested:
        """Keep samples of a product with their images, masks and labels; those that are there are passed over.

        Samples are called by their path below `root`, else by their file name. A run that was stopped goes on when
        it is started again; what cannot be read is refused by name. Raises StoreError where nothing can be written.
        """
        return Ingest(self.database, self.images, product, root, author).run(samples, progress)

    def samples(self, name: str, *, split: str | None = None, folder: Path | None = None) -> Iterator[Sample]:
        """The samples of a version (cookies@3), or of a product as it is now (cookies), with local files.

        `split` keeps one part, train or test. An image of a frozen test part is never in any other. With `folder`,
        the files lie below it under their own names. Raises InputError for a name that is not there.
        """
        live = name in self.catalogue.products()
        return samples(self.database, self.images, name, live, split, folder)

    def check(self, repair: bool = False, grace_s: float = GRACE_S, progress: Progress = unwatched) -> Check:
        """Is the database sound? Then read every image: is it there, is it what its name says, does a row name it?

        With `repair`, images that no row names are removed; those younger than `grace_s` are left, since their row may
        be on its way.
        """
        return check(self.database, self.images, repair, grace_s, progress)

    def backup(self, folder: Path, progress: Progress = unwatched, keep: int = KEEP) -> Backup:
        """Copy everything to a folder, or bring the backup there up to date; the store stays in use meanwhile.

        The `keep` newest copies of the database stay there. Raises as `back_up`.
        """
        return back_up(self.database, self.images, folder, progress, keep)

    @classmethod
    def restore(
        cls,
        folder: Path,
        url: str | Path | None = None,
        images: str | Path | None = None,
        progress: Progress = unwatched,
        generation: str | None = None,
    ) -> Backup:
        """Copy a backup into a new store; the arguments are those of `open` and of `restore_backup`, as are errors."""
        database = Database(locate(url))
        try:
            return restore_backup(folder, database, Images(locate_images(images, database.file)), progress, generation)
        finally:
            database.close()

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that reads, with the rows of `sightline.store.tables`."""
        return self.database.reading()

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction that writes: kept whole when the block ends, dropped whole on any exception."""
        return self.database.writing()

    def settle(self) -> None:
        """Make what the line has recorded safe against a power cut, too. For a station's idle moments, or a thread of
        its own every few seconds; then no commit of the line pays for it.
        """
        self.database.settle()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
