"""Accuracy, training cost and speed of the spine, on real images. Run on an otherwise idle machine: make bench

Trainings run as separate processes of the command line, so that seconds and memory are those a user sees.
Results: benchmarks/spine.json and the table benchmarks/spine.md.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parent.parent / "shared" / "data"))
# Set -> arguments of train, and the figures it must reach.
ACCURACY = {
    "cookies": ([], {"image_auroc": 0.99, "aupro": 0.92}),
    "cubes": (["--train-good", "58"], {"image_auroc": 0.98}),
    "magnetic_tile": (["--train-good", "500"], {"image_auroc": 0.95}),
}
BLOCKS, ROUNDS = 4, 30
THREADS = 2


def sightline(*arguments):
    command = [sys.executable, "-W", "ignore", "-m", "sightline", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def accuracy(folder):
    rows = {}
    for name, (options, must) in ACCURACY.items():
        recipe = folder / f"{name}.onnx"
        trained = sightline("train", DATA / name, "-o", recipe, *options)
        figures = sightline("evaluate", recipe, DATA / name)
        rows[name] = {"train": trained, "evaluate": figures, "must": must}
        print(name, {key: round(figures[key], 4) for key in must}, f"{trained['seconds']} s", flush=True)
    return rows


def training_cost(folder):
    """Seconds and memory for 50, 100 and 200 images of 384 x 384 px: cost must grow linearly, the bank not."""
    from sightline.data.sample import render

    rows = {}
    for count in (50, 100, 200):
        parts = folder / f"parts{count}" / "good"
        parts.mkdir(parents=True)
        for part in render("cap", count, seed=1, size=384):
            cv2.imwrite(str(parts / f"{part.index}.png"), part.image[..., ::-1])
        # One more image goes to the test part that a dataset needs.
        options = ("--test-fraction", "0.001", "--set", "side_px=384", "-o", folder / f"parts{count}.onnx")
        rows[count] = sightline("train", parts.parent, *options)
        print(count, "images", rows[count], flush=True)
    return rows


def speed(recipe, photo):
    """Bare backbone, whole graph and file to verdict at the same size and settings, measured in turn."""
    import onnx

    from sightline.runtime.inspector import Inspector
    from sightline.runtime.session import OnnxSession
    from sightline.train.backbone.extractor import backbone_onnx

    inspector = Inspector(recipe, THREADS)
    size = (inspector.card.height, inspector.card.width)
    backbone = onnx.load_from_string(backbone_onnx(inspector.card.backbone))
    del backbone.graph.output[0]  # stride 4, which the recipe does not read
    for axis in (1, 2):
        backbone.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size[axis - 1]
    bare, whole = OnnxSession(backbone.SerializeToString(), THREADS), OnnxSession(Path(recipe).read_bytes(), THREADS)
    image = np.random.default_rng(0).integers(0, 255, (1, *size, 3), np.uint8)
    actions = {
        "backbone": lambda: bare.run({"image": image}),
        "graph": lambda: whole.run({"image": image}),
        "inspect": lambda: inspector.inspect(photo),
    }
    times = {name: [] for name in actions}
    for _ in range(BLOCKS):
        for name, action in actions.items():
            action()
            for _ in range(ROUNDS):
                start = time.perf_counter()
                action()
                times[name].append((time.perf_counter() - start) * 1e3)
    p50 = {name: float(np.percentile(values, 50)) for name, values in times.items()}
    return {"size": size, "p50_ms": p50, "graph_ratio": p50["graph"] / p50["backbone"],
            "inspect_ratio": p50["inspect"] / p50["backbone"]}  # fmt: skip


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [entry.split(":")[1].strip() for entry in lines if "model name" in entry]
    return f"{os.cpu_count()} cores, {model[0] if model else platform.processor()}, load {os.getloadavg()[0]:.1f}"


def line(what, value, target, met):
    return f"| {what} | {value} | {target} | {'yes' if met else '**no**'} |"


def table(result):
    rows = [f"Measured {result['date']} on {result['machine']}, by `make bench`.", ""]
    rows += ["| figure | measured | must reach | reached |", "|---|---|---|---|"]
    for name, row in result["accuracy"].items():
        for key, target in row["must"].items():
            value = row["evaluate"][key]
            rows.append(line(f"{name}: {key}", f"{value:.4f}", f">= {target}", value >= target))
    cookies = result["accuracy"]["cookies"]["train"]
    rows.append(line("cookies: training, s", cookies["seconds"], "<= 25", cookies["seconds"] <= 25))
    rows.append(line("cookies: peak memory, MB", cookies["peak_rss_mb"], "<= 1200", cookies["peak_rss_mb"] <= 1200))
    cost = result["training_cost"]
    rows.append(line("200 images of 384 px: training, s", cost[200]["seconds"], "<= 90", cost[200]["seconds"] <= 90))
    peak = cost[200]["peak_rss_mb"]
    rows.append(line("200 images: peak memory, MB", peak, "<= 1500", peak <= 1500))
    growth = (cost[200]["seconds"] - cost[100]["seconds"]) / max(cost[100]["seconds"] - cost[50]["seconds"], 0.1)
    rows.append(line("growth 100 to 200 over 50 to 100 images", f"{growth:.2f}", "about 2", growth <= 2.6))
    banks = {entry["bank"] for entry in cost.values()}
    rows.append(line("bank entries at 50, 100, 200 images", sorted(banks), "one value", len(banks) == 1))
    fast = result["speed"]
    rows.append(line("whole graph / bare backbone", f"{fast['graph_ratio']:.2f}", "<= 2.0", fast["graph_ratio"] <= 2))
    ratio = fast["inspect_ratio"]
    rows.append(line("JPEG file to verdict / bare backbone", f"{ratio:.2f}", "<= 2.5", ratio <= 2.5))
    ms = ", ".join(f"{name} {value:.1f} ms" for name, value in fast["p50_ms"].items())
    rows += ["", f"One image of {fast['size'][1]} x {fast['size'][0]} px, {THREADS} threads, p50: {ms}.", ""]
    heads = ("set", "image AUROC", "image AP", "pixel AUROC", "AUPRO", "AUPRO to 5 %", "escape (at most)")
    heads += ("overkill (at most)", "training, s")
    rows += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in result["accuracy"].items():
        e = row["evaluate"]
        cells = [f"{e[key]:.3f}" if e[key] is not None else "-" for key in
                 ("image_auroc", "image_ap", "pixel_auroc", "aupro", "aupro_05")]  # fmt: skip
        rates = [f"{e[key]:.1%} ({e[key + '_upper']:.1%})" for key in ("escape", "overkill")]
        rows.append(f"| {name} | {' | '.join(cells + rates)} | {row['train']['seconds']:.1f} |")
    return "\n".join(rows) + "\n"


def main():
    result = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sightline(
            "train", DATA / "cookies", "-o", folder / "warm.onnx", "--effort", "quick"
        )  # fills the backbone cache
        result["accuracy"] = accuracy(folder)
        result["speed"] = speed(folder / "cookies.onnx", next((DATA / "cookies" / "test" / "good").glob("*.jpg")))
        result["training_cost"] = training_cost(folder)
    for row in result["accuracy"].values():
        row["evaluate"] = {key: value for key, value in row["evaluate"].items() if not isinstance(value, list | dict)}
    trainings = [row["train"] for row in result["accuracy"].values()]
    for row in (*trainings, *result["training_cost"].values()):
        del row["recipe"]
    (HERE / "spine.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "spine.md").write_text("# The spine on real images\n\n" + table(result))
    print(table(result))


if __name__ == "__main__":
    main()
