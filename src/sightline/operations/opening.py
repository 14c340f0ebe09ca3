"""What an operation works on: a dataset, or a product in the store with the decisions about it; and who works."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.core.errors import InputError
from sightline.core.progress import Tell

if TYPE_CHECKING:
    from sightline.data.curation.findings import Action
    from sightline.data.curation.stored import StoreDecisionLog
    from sightline.data.dataset import Dataset
    from sightline.store.store import Store, StoreLocation

STORED = "store:"


def open_dataset(
    data: Path,
    tell: Tell | None,
    *,
    outside: bool,
    split: bool = True,
    test_fraction: float = 0.3,
    seed: int = 0,
) -> Dataset:
    """`Dataset.open`; files, types with counts and the meaning of label words are told before any work starts."""
    from sightline.data.dataset import Dataset

    dataset = Dataset.open(data, test_fraction, seed, split=split, outside=outside)
    if tell is not None:
        tell(dataset.summary(warned=True))
    return dataset


@contextmanager
def opened_store(store: Store | StoreLocation) -> Iterator[Store]:
    """An open store as it is, or the one at a location, which has to be there. Raises StoreError."""
    from sightline.store.store import Store

    if isinstance(store, Store):
        yield store
    else:
        with Store.open(*store, create=False) as opened:
            yield opened


def author() -> str:
    """Who works here, by the name that the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@dataclass(frozen=True)
class Stored:
    """A product in the store; `version` where a version of it is checked, which never changes."""

    store: Store
    product: str
    version: bool
    author: str
    decision_log: StoreDecisionLog

    def apply(self, actions: Sequence[Action]) -> None:
        """Do what was decided to the samples of the store. Raises InputError for a version."""
        from sightline.data.curation.stored import apply_all

        if actions and self.version:
            raise InputError(
                f"a version never changes, so nothing can be applied to it. Check store:{self.product} as it is now"
            )
        apply_all(self.store, self.product, actions, self.author)

    def names(self) -> dict[str, str]:
        """The names of its samples by the hashes of their images."""
        from sightline.data.curation.stored import names_in_store

        return names_in_store(self.store, self.product, self.version)


def is_stored(data: Path) -> bool:
    """Whether a dataset's name means a product or version in the store."""
    return str(data).startswith(STORED)


def open_stored(data: Path, opened: ExitStack) -> Stored | None:
    """The store behind store:PRODUCT; None for every other dataset."""
    if not is_stored(data):
        return None
    from sightline.data.curation.stored import StoreDecisionLog
    from sightline.store.store import Store

    name = str(data).removeprefix(STORED)
    store = opened.enter_context(Store.open(create=False))
    version = name not in store.catalogue.products()  # a name of a version, or the first digits of its hash
    product = store.versions.find(name).product if version else name
    return Stored(store, product, version, author(), StoreDecisionLog(store, product, author()))


def refuse_findings(data: Path, findings: Path | None) -> None:
    """Raises InputError for a file of decisions about data in the store, which keeps them itself."""
    if is_stored(data) and findings is not None:
        # Applied to a table instead, a decision could move a frozen test image into training.
        raise InputError("decisions about data in the store are kept there. Leave out --findings")
