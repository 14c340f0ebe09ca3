"""`sightline serve`: the web app, its API, and what runs recipes in browsers."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import console
from sightline.cli.app import app
from sightline.cli.options import Json
from sightline.cli.store import Database, Images
from sightline.core.progress import progress

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 picks a free one.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, see docs/how-to/serve.md.")]


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="TLS is terminated by a proxy.")] = False,
    allow_host: Annotated[list[str] | None, typer.Option(help="Host name that browsers use for this server.")] = None,
    browser: Annotated[bool, typer.Option(help="Open it in this machine's browser.")] = True,
    options: Settings = None,
    db: Database = None,
    images: Images = None,
) -> None:
    """Serve the web app and its API until Ctrl-C. Example: sightline serve"""
    from sightline.train.settings import parse_pairs
    from sightline.web import server

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    given = {"host": host, "port": port, "certificate": certificate, "private_key": private_key}
    given |= {"behind_proxy": behind_proxy, "allow_hosts": allow_host or ()}
    values = {**given, **parse_pairs(options or [])}
    server.serve((db, images), values, tell=console.complain, browser=browser and console.has_browser())


@app.command()
def worker(
    folder: Annotated[Path, typer.Option(help="Server folder for job files.")] = Path("sightline-work"),
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    db: Database = None,
    images: Images = None,
) -> None:
    """Run the web app's jobs, one at a time. Example: sightline worker"""
    from sightline.operations import worker

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    worker.worker((db, images), folder, tell=console.complain, with_parent=with_parent)


@app.command("browser-runtime")
def browser_runtime(
    folder: Annotated[Path, typer.Option(help="Server folder for job files.")] = Path("sightline-work"),
    package: Annotated[Path | None, typer.Option(help="The npm package, fetched elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch what runs recipes in browsers (onnxruntime-web, MIT). Example: sightline browser-runtime"""
    from sightline.operations import browser_runtime as operations

    with progress(as_json) as bar:
        found = operations.browser_runtime(folder, package, bar)
    text = f"{found['version']} is in {found['folder']} ({found['bytes'] / 1e6:.0f} MB)"
    console.say_json(found) if as_json else console.say(text)


@app.command("bench-marker")
def bench_marker(
    output: Annotated[Path, typer.Argument(help="The PNG to write.", show_default=False)],
    number: Annotated[int, typer.Option(min=0, max=49, help="Which marker of the dictionary 4x4_50.")] = 0,
    size_mm: Annotated[float, typer.Option(min=4, max=500, help="Side of its black square, in mm.")] = 40.0,
    as_json: Json = False,
) -> None:
    """Write a marker to print, which tells the bench where a part lies. Example: sightline bench-marker marker.png"""
    from sightline.operations import bench

    found = bench.bench_marker(output, number, size_mm)
    text = f"{found['marker']}: print it unscaled, and check its black square: {found['size_mm']:g} mm a side"
    console.say_json(found) if as_json else console.say(text)
