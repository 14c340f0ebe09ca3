"""Quick trainings on an idle machine and beside busy loops: python benchmarks/beside.py

A station's machine does other work. Beside one busy loop per core a training has half of the machine, so twice the
time is its share; threads that spin while they wait for each other would take much more. Run on an otherwise idle
machine; each training is a process of the command line. Results: benchmarks/beside.json and beside.md.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sightline.data.dataset import Dataset
from sightline.data.export import export

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parent.parent / "shared" / "data"))
BUSY = "while True: pass"
CORES = len(os.sched_getaffinity(0))
MOST_OF_A_LABEL = 25  # tiles of good parts and of each of five types: 150 in all
GOAL_S = {"150 tiles with five types": 25.0}


def tiles(folder: Path) -> Path:
    """150 magnetic tiles, good and of five types, as a dataset of class folders."""
    counted: dict[str, int] = {}
    chosen = []
    for sample in Dataset.open(DATA / "magnetic_tile", split=False):
        label = sample.types[0] if sample.defective else "good"
        counted[label] = counted.get(label, 0) + 1
        if counted[label] <= MOST_OF_A_LABEL:
            chosen.append(sample)
    return export(chosen, folder / "tiles", "csv")


def seconds(dataset: Path, folder: Path, busy: int) -> float:
    """Wall time of one quick training beside `busy` loops."""
    command = [sys.executable, "-W", "ignore", "-m", "sightline", "train", str(dataset), "--effort", "quick"]
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
    start = time.perf_counter()
    try:
        subprocess.run([*command, "-o", str(folder / "recipe.onnx")], check=True, capture_output=True)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    return time.perf_counter() - start


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, dataset in (("cookies", DATA / "cookies"), ("150 tiles with five types", tiles(folder))):
            alone, beside = (min(seconds(dataset, folder, busy) for _ in range(2)) for busy in (0, CORES))
            rows.append({"training": what, "alone_s": round(alone, 1), "beside_s": round(beside, 1)})
            print(rows[-1], flush=True)
    (HERE / "beside.json").write_text(json.dumps({"cores": CORES, "rows": rows}, indent=1) + "\n")
    lines = [f"# Quick trainings beside {CORES} busy loops on {CORES} cores", "", str(__doc__).split("\n\n")[1], ""]
    lines += ["| training | alone s | goal s | beside the loops s | times |", "|---|---|---|---|---|"]
    for row in rows:
        goal = GOAL_S.get(row["training"], "")
        times = row["beside_s"] / row["alone_s"]
        lines.append(f"| {row['training']} | {row['alone_s']} | {goal} | {row['beside_s']} | {times:.1f} |")
    (HERE / "beside.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
