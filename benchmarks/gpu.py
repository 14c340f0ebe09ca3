"""What a CUDA machine does with the lab's heavy parts. Run on an otherwise idle one: python benchmarks/gpu.py

Backbone: images per second by batch, in bfloat16, uploads included. Distances: the fused kernel against the chunked
form and against the chip's own limit, which is measured as well, as one large matrix product. Training: seconds from
sample parts to a recipe. Checks first that every way gives the CPU's distances. Results: benchmarks/gpu.json.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TRUNKS = {"lite0": (384, 384), "dinov2-s": (392, 392)}
# Keys x entries x dimensions: one image, a batch, and a bank as large as settings allow.
DISTANCES = ((2_304, 4_096, 64), (2_304 * 64, 4_096, 64), (2_304 * 64, 65_536, 64), (2_304 * 64, 4_096, 128))
PARTS = (50, 200)
SECONDS, MAX = 1.0, 200  # of each measurement, and repetitions at most
LIMIT_SIDE = 8_192


def seconds(action):
    """Median time of an action on the GPU, by events, after two runs that warm it up."""
    for _ in range(2):
        action()
    torch.cuda.synchronize()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < SECONDS and len(times) < MAX):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        action()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def limits():
    """TFLOP/s of one large product of random numbers: float32 as it is, and tf32, the most the chip gives to floats."""
    a, b = (torch.randn(LIMIT_SIDE, LIMIT_SIDE, device="cuda") for _ in range(2))
    operations, before, found = 2 * LIMIT_SIDE**3, torch.get_float32_matmul_precision(), {}
    for name, precision in (("float32", "highest"), ("tf32", "high")):
        torch.set_float32_matmul_precision(precision)
        found[name] = operations / seconds(lambda: a @ b) / 1e12
    torch.set_float32_matmul_precision(before)
    return found


def trunks():
    """Images per second, from uint8 in the machine's memory to float32 maps on the GPU."""
    from sightline.core.errors import SightlineError
    from sightline.train.backbone.torch_extractor import TorchExtractor

    rows = {}
    for name, size in TRUNKS.items():
        try:
            kinds = {"bf16": TorchExtractor(name, "cuda"), "fp32": TorchExtractor(name, "cuda", half=False)}
        except SightlineError as error:
            rows[name] = {"left_out": str(error)}
            continue
        rows[name] = {"size": size, "images_per_s": {kind: {} for kind in kinds}}
        for batch in BATCHES:
            images = np.random.default_rng(batch).integers(0, 255, (batch, *size, 3), np.uint8)
            for kind, backbone in kinds.items():
                rows[name]["images_per_s"][kind][batch] = batch / seconds(lambda run=backbone, x=images: run(x))
        print(name, {kind: round(max(row.values())) for kind, row in rows[name]["images_per_s"].items()}, flush=True)
    return rows


def distances(limit):
    """TFLOP/s counted as 2 Q M d; the kernel makes three tf32 products for each, so a third of tf32 is its limit."""
    from sightline.models.memory_bank import chunked_closest, has_triton

    rows = []
    for count, entries, size in DISTANCES:
        keys, bank = torch.randn(count, size, device="cuda"), torch.randn(entries, size, device="cuda")
        ways = {"chunked": chunked_closest}
        if has_triton():
            from sightline.models.nearest_kernel import fused_closest

            ways["fused"] = fused_closest
        row = {"keys": count, "entries": entries, "dimensions": size, "ms": {}, "tflops": {}, "of_limit": {}}
        for name, way in ways.items():
            taken = seconds(lambda run=way, k=keys, b=bank: run(k, b))
            row["ms"][name], row["tflops"][name] = taken * 1e3, 2 * count * entries * size / taken / 1e12
            top = limit["tf32"] / 3 if name == "fused" else limit["float32"]
            row["of_limit"][name] = row["tflops"][name] / top
        rows.append(row)
        print(count, entries, size, {name: f"{ms:.3f} ms" for name, ms in row["ms"].items()}, flush=True)
    return rows


def agreement():
    """Largest error of a distance against float64 on the CPU, relative to the mean distance."""
    from sightline.models.memory_bank import nearest

    keys, bank = torch.randn(4_000, 64), torch.randn(3_000, 64)
    keys[:500] = bank[:500] + 0.05 * torch.randn(500, 64)  # near ones, where digits cancel
    banned = torch.arange(3_000) % 7 == 3
    exact = torch.cdist(keys.double(), bank[~banned].double(), compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    found = nearest(keys.cuda(), bank.cuda(), banned.cuda()).cpu().double()
    error = float((found - exact).abs().max() / exact.mean())
    if not error < 1e-3:
        sys.exit(f"the GPU's distances differ from the CPU's by {error:.2g} of their mean. Nothing was written")
    return error


def trainings(folder):
    """Seconds of `sightline.train` on sample parts, backbone and bank on the GPU; the first also warms everything
    up.
    """
    import cv2

    import sightline
    from sightline.data.sample import render

    rows = {}
    for number, count in enumerate((PARTS[0], *PARTS)):
        parts = folder / f"run{number}" / "good"
        parts.mkdir(parents=True)
        for part in render("cap", count, seed=number, size=384):
            cv2.imwrite(str(parts / f"{part.index}.png"), part.image[..., ::-1])
        dataset = sightline.Dataset.open(parts.parent)
        start = time.perf_counter()
        recipe = sightline.train(dataset, threads=os.cpu_count())
        rows[count] = {"seconds": time.perf_counter() - start, "images": len(recipe.card.trained_on)}
        print(count, "parts", rows[count], flush=True)
    return rows


def main():
    if not torch.cuda.is_available():
        sys.exit(
            "benchmarks/gpu.py needs a CUDA device, and torch sees none here. Nothing was measured or written. "
            "Run it on a machine with an NVIDIA GPU and torch for CUDA"
        )
    device = torch.cuda.get_device_properties(0)
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{device.name}, {device.total_memory / 2**30:.0f} GiB, {os.cpu_count()} CPU cores",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda},
        "distance_error": agreement(),
        "limit_tflops": limits(),
    }
    result["distances"] = distances(result["limit_tflops"])
    result["backbones"] = trunks()
    with tempfile.TemporaryDirectory() as folder:
        result["training"] = trainings(Path(folder))
    (HERE / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
