"""Do parts that are said to look alike show the same defect, and what does it cost? python benchmarks/similar.py

Of each defective part of a labelled set, the five that `store.embeddings` calls the most alike, parts of its own group
left out: how many of them have its type. Beside it the five of the nearest scores. Writes similar.json and similar.md.
"""

import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import sightline
from sightline.core.result import Verdict
from sightline.data.dataset import Dataset
from sightline.store.embeddings import WINDOW, pack
from sightline.store.inspections import Record
from sightline.store.store import Store

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parents[1] / "shared" / "data"))
SETS, GOOD, NEAREST = ("magnetic_tile", "tire"), 60, 5
NOW = datetime.now(UTC)


def keep(store, number, embedding, score=0.0):
    """A part of the line with its embedding, under a picture's hash that is its number."""
    digest = f"{number:064x}"
    part = Record(
        station="desk", verdict=Verdict.NG, triggered=NOW, key=f"k{number}", score=score, image_hash=digest
    )  # fmt: skip
    store.inspections.record(part)
    store.embeddings.keep(f"k{number}", "view", digest, "a" * 64, pack(embedding))


def agreement(name):
    """Shares of neighbours with the part's type: by looks, by score, and of all parts; how many parts there were."""
    samples = list(Dataset.open(DATA / name))
    good = [one for one in samples if not one.defective and not one.types][:GOOD]
    parts = [one for one in samples if one.defective and one.types]
    recipe = sightline.train(good, effort="quick")
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "store.db") as store:
        inspector = sightline.Inspector(recipe.save(Path(folder) / "recipe.onnx"))
        results = [inspector.inspect(one.path) for one in parts]
        for number, result in enumerate(results):
            keep(store, number, result.embedding, result.score)
        found = [[int(one.hash, 16) for one in store.embeddings.similar(f"{n:064x}", 200)] for n in range(len(parts))]
    scores = np.array([result.score for result in results])
    by_score = [np.argsort(abs(scores - one), kind="stable").tolist() for one in scores]
    groups = [one.group or one.path.name for one in parts]
    types = [one.types[0] for one in parts]

    def share(order):
        hits = []
        for number, others in enumerate(order):
            others = [one for one in others if groups[one] != groups[number]][:NEAREST]
            hits.append(np.mean([types[one] == types[number] for one in others]))
        return float(np.mean(hits))

    chance = float(np.mean([types.count(one) / len(types) for one in types]))
    return {"set": name, "parts": len(parts), "looks": share(found), "score": share(by_score), "chance": chance}


def cost():
    """Milliseconds (median): to pack an embedding at the station, and to search the newest WINDOW at the server."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(WINDOW, 320)).astype(np.float32)

    def median_ms(work, times):
        took = []
        for number in range(times):
            start = time.perf_counter()
            work(number)
            took.append((time.perf_counter() - start) * 1e3)
        return float(np.median(took))

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "store.db") as store:
        for number, vector in enumerate(vectors):
            keep(store, number, vector)
        search = median_ms(lambda number: store.embeddings.similar(f"{number:064x}"), 20)
    return {"pack_ms": median_ms(lambda number: pack(vectors[number]), 1000), "search_ms": search}


if __name__ == "__main__":
    rows, spent = [agreement(name) for name in SETS], cost()
    (HERE / "similar.json").write_text(json.dumps({"sets": rows, **spent}, indent=1) + "\n")
    text = "# Parts that look alike\n\nShare of the five nearest that have the part's defect type, its own group left "
    text += "out. Written by `benchmarks/similar.py`.\n\n| set | defective parts | by looks | by score | by chance |\n"
    text += "|---|---|---|---|---|\n"
    for row in rows:
        text += f"| {row['set']} | {row['parts']} | {row['looks']:.2f} | {row['score']:.2f} | {row['chance']:.2f} |\n"
    text += f"\nAt the station {spent['pack_ms']:.3f} ms a kept picture, beside the part's way (goal: at most 1 ms). "
    text += f"A search among the newest {WINDOW:,} pictures takes {spent['search_ms']:.0f} ms.\n"
    (HERE / "similar.md").write_text(text)
    print(text)
