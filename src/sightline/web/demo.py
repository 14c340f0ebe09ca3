"""The demo's app: its sample parts in a store, its recipe at work on a simulated line, and the pages over both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sightline.core.progress import Progress, Tell
from sightline.line.simulation import Setup
from sightline.operations.demo import demo as steps
from sightline.operations.line import lay_on_belt, simulated
from sightline.operations.store import add_samples, register_recipe
from sightline.store.store import Store
from sightline.web.server import serve

AUTHOR = "demo"
STATIONS, PER_SECOND, DEADLINE_MS = 2, 0.7, 500.0  # a pace at which a person can look, beside a browser on two cores
REVIEW_NG = 0.2  # so that there is something to review where the recipe is sure of everything


def demo(
    folder: Path,
    product: str = "cap",
    effort: str = "normal",
    *,
    app: bool | None = None,
    browser: bool = False,
    progress: Progress | None = None,
    tell: Tell = lambda text: None,
) -> Iterator[tuple[str, Any]]:
    """The steps of `operations.demo`, and then the app over what it has made, with a line running, until Ctrl-C.

    `browser`: there is one on this machine to open it in; `app` None: only then, and where the extras are there.
    Raises SightlineError.
    """
    value: Any = {}
    for step, value in steps(folder, product, effort, progress=progress, tell=tell):
        yield step, value
    extras = all(find_spec(name) is not None for name in ("fastapi", "uvicorn", "pymodbus"))
    if (browser and extras) if app is None else app:
        _show(value, product, tell, browser)


def _show(files: Mapping[str, Any], product: str, tell: Tell, browser: bool) -> None:
    parts, recipe = Path(files["parts"]), Path(files["recipe"])
    folder = recipe.parent / "line"
    folder.mkdir(parents=True, exist_ok=True)
    location = str(folder / "line.db"), str(folder / "images")
    with Store.open(*location) as store:
        if product not in store.catalogue.products():
            add_samples(store, parts, product, author=AUTHOR, tell=tell)
        version = store.versions.snapshot(product, AUTHOR, "the demo's parts").name
        found = register_recipe(store, recipe, version, AUTHOR)
        if found.state == "candidate":
            store.recipes.set_state(found.hash, "promoted", AUTHOR, "trained by the demo")
            store.jobs.add("evaluate", {"kind": "evaluate", "recipe": found.hash, "data": version}, AUTHOR)
    tell(f"Starting a line of {STATIONS} simulated stations")
    belt = lay_on_belt(parts, folder / "belt")
    setup = Setup(recipe, belt, folder, STATIONS, PER_SECOND, DEADLINE_MS, keep=True, review_ng=REVIEW_NG)
    with simulated(setup) as stations:
        with Store.open(*location) as store:
            for station in stations:
                store.stations.put(station.station, f"http://127.0.0.1:{station.health}", "", AUTHOR)
        serve(location, {"port": 0, "folder": folder / "work"}, tell=tell, browser=browser)
