"""`sightline store ...`: images, labels and versions in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.app import app
from sightline.cli.options import Data, Json
from sightline.command import console

store = typer.Typer(help="Images, labels, versions and verdicts in one place.", no_args_is_help=True)
app.add_typer(store, name="store")

Database = Annotated[
    str | None, typer.Option("--db", help="SQLite file or postgresql:// address; else SIGHTLINE_DB, else sightline.db.")
]
Images = Annotated[
    str | None, typer.Option("--images", help="Folder or s3:// address; else SIGHTLINE_STORE, else beside the file.")
]
Folder = Annotated[Path, typer.Argument(help="Folder of the backup.", show_default=False)]
Version = Annotated[str, typer.Argument(help="Version (cookies@3), or a product for its newest.", show_default=False)]


def _say(found: Any, text: str, as_json: bool) -> None:
    console.say_json(found) if as_json else console.say(text)


@store.command()
def init(db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Make a store. Example: sightline store init"""
    from sightline.command import stored, storing

    found = storing.init((db, images))
    _say(found, stored.init(found), as_json)


@store.command()
def add(
    data: Data,
    product: Annotated[str | None, typer.Option(help="What the samples show; else the folder's name.")] = None,
    split: Annotated[bool, typer.Option(help="Make a split where the data gives none.")] = True,
    test_fraction: Annotated[float, typer.Option(help="Share for test where the data gives no split.")] = 0.3,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Add a dataset of any layout; run it again to go on. Example: sightline store add photos/cookies"""
    from sightline.command import stored, storing

    found = storing.add((db, images), data, product, split, test_fraction, quiet=as_json)
    _say(found, stored.added(found), as_json)
    if found["refused"]:
        raise typer.Exit(1)


@store.command()
def check(
    repair: Annotated[bool, typer.Option(help="Remove images that no row names.")] = False,
    grace_minutes: Annotated[float, typer.Option(min=0, help="Leave younger ones: a row may be on its way.")] = 60,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Find missing, altered and orphaned images. Example: sightline store check"""
    from sightline.command import stored, storing

    found = storing.check((db, images), repair, grace_minutes, quiet=as_json)
    _say(found, stored.checked(found), as_json)
    if not found["ok"]:
        raise typer.Exit(1)


@store.command()
def backup(folder: Folder, db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Copy everything, while the store is in use. Example: sightline store backup backups/monday"""
    from sightline.command import stored, storing

    found = storing.backup((db, images), folder, quiet=as_json)
    _say(found, stored.copied(found), as_json)


@store.command()
def restore(folder: Folder, db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Make a new store from a backup. Example: sightline store restore backups/monday --db again.db"""
    from sightline.command import stored, storing

    found = storing.restore((db, images), folder, quiet=as_json)
    _say(found, stored.copied(found), as_json)


@store.command()
def versions(
    product: Annotated[str | None, typer.Argument(help="Only of this product.")] = None,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """List versions, and the recipes that learned from each. Example: sightline store versions"""
    from sightline.command import stored, storing

    found = storing.versions((db, images), product)
    _say(found, stored.versions(found), as_json)


@store.command()
def snapshot(
    product: Annotated[str, typer.Argument(help="Product to keep as it is now.", show_default=False)],
    note: Annotated[str, typer.Option(help="What is special about it.")] = "",
    freeze_test: Annotated[bool, typer.Option(help="Close its test part to every training, for good.")] = False,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Keep samples, labels and split as a version. Example: sightline store snapshot cookies"""
    from sightline.command import stored, storing

    found = storing.snapshot((db, images), product, note, freeze_test)
    _say(found, stored.version(found), as_json)


@store.command()
def diff(old: Version, new: Version, db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """What changed between two versions. Example: sightline store diff cookies@1 cookies@2"""
    from sightline.command import stored, storing

    found = storing.diff((db, images), old, new)
    _say(found, stored.diff(found), as_json)


@store.command()
def rollback(version: Version, db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Make a product what it was in a version. Example: sightline store rollback cookies@1"""
    from sightline.command import stored, storing

    found = storing.rollback((db, images), version)
    _say(found, stored.version(found), as_json)


@store.command()
def export(
    version: Annotated[str, typer.Argument(help="Version, or a product as it is now.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="New or empty folder.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="coco, voc, yolo, labelme, cvat, mvtec or csv.")] = "coco",
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Write a version into another layout. Example: sightline store export cookies@1 -o cookies-coco"""
    from sightline.command import stored, storing

    found = storing.export((db, images), version, output, layout)
    _say(found, stored.exported(found), as_json)


@store.command()
def register(
    recipe: Annotated[Path, typer.Argument(help="Recipe file.", show_default=False)],
    version: Version,
    db: Database = None,
    images: Images = None,
    as_json: Json = False,
) -> None:
    """Keep a recipe and the version it learned. Example: sightline store register cookies.onnx cookies@1"""
    from sightline.command import stored, storing

    found = storing.register((db, images), recipe, version)
    _say(found, stored.registered(found), as_json)


@store.command()
def info(db: Database = None, images: Images = None, as_json: Json = False) -> None:
    """Where the store is, and how much is in it. Example: sightline store info"""
    from sightline.command import stored, storing

    found = storing.info((db, images))
    _say(found, stored.info(found), as_json)
