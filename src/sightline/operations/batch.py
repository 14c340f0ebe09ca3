"""Any number of images judged in blocks, here or on a cluster: what is done stays done, and each image has one row.

A block's rows are one file, named by what went into them (the recipe, and each image's name, size and time). Whoever
runs the same again, after an end of any kind, computes the blocks that are not there, and no other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError, SightlineError
from sightline.core.figures import Figures
from sightline.core.files import make_folder
from sightline.core.progress import Progress, unwatched
from sightline.data.formats.folders import walk_images
from sightline.data.formats.label import is_mask_folder
from sightline.imaging.decoding import SUFFIXES
from sightline.runtime.cluster import Cluster, Lost
from sightline.runtime.recipe import Recipe, write_atomically
from sightline.store.blobs import BlobStore

if TYPE_CHECKING:
    from sightline.runtime.engine_choice import EngineSetting
    from sightline.runtime.inspector import Inspector
    from sightline.runtime.session import Precision

BLOCK = 64
PARTS, RESULTS, SUMMARY = "blocks", "results.jsonl", "summary.json"
LOST = "lost-"  # before the name of a block


@dataclass(frozen=True)
class Shared:
    """What every process needs to judge a block."""

    recipe: Recipe
    digest: str  # SHA-256 of the recipe file
    source: str
    engine: EngineSetting
    precision: Precision
    threads: int


@dataclass(frozen=True)
class Block:
    """Images of one task: (name below the source, bytes, time of writing in ns)."""

    number: int
    files: tuple[tuple[str, int, int], ...]

    def name(self, shared: str) -> str:
        """The name of the file of its rows: it changes with whatever would change them."""
        text = json.dumps([shared, self.files]).encode()
        return f"{self.number:07}-{hashlib.sha256(text).hexdigest()[:16]}.jsonl"


@dataclass(frozen=True, slots=True)
class BatchSummary(Figures):
    """What has come of it: images by verdict, how many had nothing to inspect, and what a next run would try again."""

    results: str
    recipe: str
    images: int
    verdicts: dict[str, int]
    not_inspected: int
    blocks: int
    computed: int
    lost: tuple[str, ...]
    seconds: float


def batch(
    recipe: Path,
    source: str,
    output: Path,
    cluster: Cluster | None = None,
    block: int = BLOCK,
    engine: EngineSetting = "onnxruntime",
    precision: Precision = "f32",
    *,
    progress: Progress | None = None,
) -> BatchSummary:
    """Judge every image below `source`, a folder or s3://BUCKET/FOLDER, into `output`/results.jsonl, a row per image.

    A row has the image's name and SHA-256, the recipe's, and what `inspect` says; an image that cannot be read is NG.
    `cluster` says where, by default in this process. Interrupted, it goes on where it was; images that were added or
    changed since are judged, and their blocks with them. Raises InputError where there is no image.
    """
    start = time.perf_counter()
    cluster = cluster or Cluster()
    loaded = Recipe.load(recipe)
    shared = Shared(loaded, loaded.hash, source, engine, precision, cluster.cores)
    make_folder(output / PARTS)
    wanted, computed, lost = _judge(cluster, shared, output / PARTS, block, progress or unwatched)
    if not wanted:
        raise InputError(f"{source}: holds no images. Name a folder of them, or s3://BUCKET/FOLDER")
    for name in {file.name for file in (output / PARTS).iterdir()} - wanted:
        (output / PARTS / name).unlink()  # of images that have changed or gone since
    verdicts, errors = _gather(output, sorted(wanted, key=lambda name: name.removeprefix(LOST)))
    counts = dict(sorted(verdicts.items()))
    seconds = round(time.perf_counter() - start, 3)
    summary = BatchSummary(
        str(output / RESULTS), shared.digest, verdicts.total(), counts, errors, len(wanted), computed, lost, seconds
    )
    write_atomically(output / SUMMARY, json.dumps(summary.to_json(), indent=1).encode())
    return summary


def _judge(
    cluster: Cluster, shared: Shared, parts: Path, size: int, progress: Progress
) -> tuple[set[str], int, tuple[str, ...]]:
    """Compute the blocks whose file is not there; the files of all, how many were computed, and images without rows."""
    done = {file.name for file in parts.iterdir()}
    identity = json.dumps([shared.digest, shared.engine, shared.precision, shared.source])
    wanted, lost = set[str](), list[str]()
    images = Counter[str]()
    computed = 0

    def missing() -> Iterator[Block]:
        for number, files in enumerate(_blocks(shared.source, size)):
            block = Block(number, files)
            images["listed"] += len(files)
            if block.name(identity) not in done:
                yield block
            else:
                wanted.add(block.name(identity))
                images["done"] += len(files)

    for block, rows in cluster.map(judge_block, shared, missing()):
        name = block.name(identity)
        computed += 1
        if isinstance(rows, Lost):
            lost += [file for file, _, _ in block.files]
            rows = _unjudged(block, shared.digest, rows.reason)
            name = f"{LOST}{name}"  # another name than the block's: the next run tries it again
        write_atomically(parts / name, rows)
        wanted.add(name)
        images["done"] += len(block.files)
        progress("images", images["done"], images["listed"])
    return wanted, computed, tuple(lost)


def judge_block(shared: Shared, block: Block) -> bytes:
    """The rows of one block, as JSON lines. Raises SightlineError where this machine sees nothing of the source."""
    inspector = _open(shared)
    place = BlobStore(shared.source)
    if place.folder is not None and not place.folder.is_dir():
        raise SightlineError(
            f"{shared.source}: is not there on a machine of the cluster. Mount it on all of them at the same path, or "
            "put the images into S3"
        )
    rows = []
    for name, _, _ in block.files:
        row: dict[str, Any] = {"image": name, "sha256": None, "recipe": shared.digest}
        try:
            with place.open(name) as file:
                data = file.read()
            row["sha256"] = hashlib.sha256(data).hexdigest()
            rows.append({**inspector.inspect(data).to_json(), **row})
        except (InputError, OSError) as error:
            rows.append({**row, "verdict": "NG", "score": None, "p_value": None, "error": str(error)})
    return _lines(rows)


_opened: tuple[str, Inspector] | None = None


def _open(shared: Shared) -> Inspector:
    """The recipe at work; a process keeps the last one open."""
    global _opened  # noqa: PLW0603 - opening takes longer than a block
    from sightline.runtime.inspector import Inspector

    key = json.dumps([shared.digest, shared.engine, shared.precision, shared.threads])
    if _opened is None or _opened[0] != key:
        _opened = (key, Inspector(shared.recipe, shared.threads, shared.engine, shared.precision))
        _opened[1].warm_up()
    return _opened[1]


def _blocks(source: str, size: int) -> Iterator[tuple[tuple[str, int, int], ...]]:
    files = _files(source)
    while taken := tuple(islice(files, size)):
        yield taken


def _files(source: str) -> Iterator[tuple[str, int, int]]:
    place = BlobStore(source)
    if place.folder is None:
        yield from _walk(place, "")
        return
    for image in walk_images(place.folder):
        status = image.stat()
        yield image.relative_to(place.folder).as_posix(), status.st_size, status.st_mtime_ns


def _walk(place: BlobStore, prefix: str) -> Iterator[tuple[str, int, int]]:
    for file in sorted(place.listed(prefix), key=lambda file: file.key):
        if Path(file.key).suffix.lower() in SUFFIXES:
            yield file.key, file.bytes, int(file.written_s * 1e9)
    for name in place.folders(prefix):
        if not is_mask_folder(name):
            yield from _walk(place, f"{prefix}/{name}".lstrip("/"))


def _unjudged(block: Block, digest: str, reason: str) -> bytes:
    same = {"sha256": None, "recipe": digest, "verdict": "NG", "score": None, "p_value": None, "error": reason}
    return _lines([{"image": name, **same} for name, _, _ in block.files])


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)


def _gather(output: Path, names: list[str]) -> tuple[Counter[str], int]:
    """All rows in one file, in the order of the images; how many have which verdict, and how many an error."""
    verdicts, errors = Counter[str](), 0
    draft = output / f".{RESULTS}"
    with draft.open("wb") as whole:
        for name in names:
            with (output / PARTS / name).open("rb") as rows:
                for row in rows:
                    found = json.loads(row)
                    verdicts[found["verdict"]] += 1
                    errors += bool(found.get("error"))
                rows.seek(0)
                shutil.copyfileobj(rows, whole)
    draft.replace(output / RESULTS)
    return verdicts, errors
