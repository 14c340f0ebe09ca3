"""`sightline store ...`: images, labels and versions in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli import console, text_store
from sightline.cli.app import app
from sightline.cli.options import Data, Json, Outside
from sightline.core.progress import progress

store = typer.Typer(help="Images, labels, versions and verdicts in one place.", no_args_is_help=True)
app.add_typer(store, name="store")

Database = Annotated[
    str | None,
    typer.Option("--db", help="SQLite file or postgresql:// address; default: SIGHTLINE_DB or sightline.db."),
]
Images = Annotated[
    str | None,
    typer.Option("--images", help="Folder or s3:// address; default: SIGHTLINE_STORE or beside the file."),
]
Folder = Annotated[Path, typer.Argument(help="Folder of the backup.", show_default=False)]
Version = Annotated[str, typer.Argument(help="Version (cookies@3), or a product for its newest.", show_default=False)]


def _say(found: Any, text: str, as_json: bool, failed: object = False) -> None:
    console.say_json(found) if as_json else console.say(text)
    if failed:
        raise typer.Exit(1)


@store.command()
def init(db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Create a store. Example: sightline store init"""
    from sightline.operations import store

    found = store.init((db, images))
    _say(found, text_store.init(found), as_json)


@store.command()
def add(
    data: Data,
    product: Annotated[str | None, typer.Option(help="Product name; default: the folder's name.")] = None,
    split: Annotated[bool, typer.Option(help="Split the data if it has no split.")] = True,
    test_fraction: Annotated[float, typer.Option(help="Test share if the data has no split.")] = 0.3,
    db: Database = None,
    images: Images = None,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Add a dataset in any supported format; run again to resume. Example: sightline store add photos/cookies"""
    from sightline.operations import store

    tell = console.aside(as_json)
    with progress(as_json) as bar:
        found = store.add((db, images), data, product, split, test_fraction, outside, progress=bar, tell=tell)
    _say(found, text_store.add(found), as_json, failed=found["refused"])


@store.command()
def check(
    repair: Annotated[bool, typer.Option(help="Delete images that no database row refers to.")] = False,
    grace_minutes: Annotated[float, typer.Option(min=0, help="Spare younger files: a row may follow.")] = 60,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Find damage, and missing, altered and orphaned images. Example: sightline store check"""
    from sightline.operations import store

    with progress(as_json) as bar:
        found = store.check((db, images), repair=repair, grace_minutes=grace_minutes, progress=bar)
    _say(found, text_store.check(found), as_json, failed=not found["ok"])


@store.command()
def backup(
    folder: Folder,
    keep: Annotated[int, typer.Option(min=1, help="Database copies to keep, including the new one.")] = 7,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Copy everything, while the store is in use. Example: sightline store backup backups/monday"""
    from sightline.operations import store

    with progress(as_json) as bar:
        found = store.backup((db, images), folder, keep=keep, progress=bar)
    _say(found, text_store.backup(found), as_json, failed=found["altered"])


@store.command()
def restore(
    folder: Folder,
    generation: Annotated[str | None, typer.Option(help="Time of the copy to restore (20261128T2304).")] = None,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into a new store. Example: sightline store restore backups/monday --db again.db"""
    from sightline.operations import store

    with progress(as_json) as bar:
        found = store.restore((db, images), folder, generation=generation, progress=bar)
    _say(found, text_store.restore(found), as_json, failed=found["altered"])


@store.command()
def versions(
    product: Annotated[str | None, typer.Argument(help="Only this product.")] = None,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """List versions and the recipes trained on each. Example: sightline store versions"""
    from sightline.operations import store

    found = store.versions((db, images), product)
    _say(found, text_store.versions(found), as_json)


@store.command()
def snapshot(
    product: Annotated[str, typer.Argument(help="Product to snapshot.", show_default=False)],
    note: Annotated[str, typer.Option(help="Note stored with the version.")] = "",
    freeze_test: Annotated[bool, typer.Option(help="Permanently bar its test part from every training.")] = False,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Save samples, labels and split as a version. Example: sightline store snapshot cookies"""
    from sightline.operations import store

    found = store.snapshot((db, images), product, note, freeze_test)
    _say(found, text_store.version(found), as_json)


@store.command()
def diff(old: Version, new: Version, db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Show what changed between two versions. Example: sightline store diff cookies@1 cookies@2"""
    from sightline.operations import store

    found = store.diff((db, images), old, new)
    _say(found, text_store.diff(found), as_json)


@store.command()
def rollback(version: Version, db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Roll a product back to a version. Example: sightline store rollback cookies@1"""
    from sightline.operations import store

    found = store.rollback((db, images), version)
    _say(found, text_store.version(found), as_json)


@store.command()
def export(
    version: Annotated[str, typer.Argument(help="Version, or a product in its current state.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="New or empty folder.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="coco, voc, yolo, labelme, cvat, mvtec or csv.")] = "coco",
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Export a version in another format. Example: sightline store export cookies@1 -o cookies-coco"""
    from sightline.operations import store

    found = store.export((db, images), version, output, layout)
    _say(found, text_store.export(found), as_json)


@store.command()
def register(
    recipe: Annotated[Path, typer.Argument(help="Recipe file.", show_default=False)],
    version: Version,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Register a recipe and the version it was trained on. Example: sightline store register cookies.onnx cookies@1"""
    from sightline.operations import store

    found = store.register((db, images), recipe, version)
    _say(found, text_store.register(found), as_json)


@store.command()
def info(db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Show where the store is and what it holds. Example: sightline store info"""
    from sightline.operations import store

    found = store.info((db, images))
    _say(found, text_store.info(found), as_json)
