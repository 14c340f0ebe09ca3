"""The readable page of a comparison with the peer: ratios against the goals, then every figure."""

from statistics import mean

OURS = {"sightline-256": "ours at the peer's size", "sightline": "ours at its default"}
PEERS = {"patchcore": "PatchCore", "padim": "PaDiM"}
# Figure -> words, and the largest share of PatchCore's that is the goal, at the peer's size and at our default.
GOALS = {
    "fit_s": ("fit, s", {"sightline-256": 1 / 20, "sightline": 1 / 10}),
    "fit_cpu_s": ("fit, CPU s", {}),
    "peak_rss_mb": ("peak memory, MB", {"sightline-256": 1 / 2, "sightline": 1 / 2}),
    "ms_p50": ("file to verdict, ms", {"sightline-256": 1 / 8, "sightline": 1 / 4}),
}
ACCURACY = {"image_auroc": "image AUROC", "aupro": "AUPRO"}
METHOD = """Both libraries: the same files, the same EfficientNet-Lite0 weights (strides 8 and 16 at the peer; the peer
takes 256 x 256 px, aspect not kept), 2 threads, each model in a process of its own, taking turns. One scorer, ours,
on raw scores and raw maps at the image's own size; defective images without a mask are left out of AUPRO. Ours from
first file read to recipe written: calibration, export and its parity gate are included. The peer's from first file
read to bank ready: no thresholds, no export, no Lightning trainer, which all favours the peer. PatchCore keeps 10 %
of its patches up to 50 training images and 1 % above; PaDiM keeps 100 channels. Time per image is the median over
single images, decoding included; at the peer without its post-processing. Peak memory is that of the fitting process,
libraries included. `sightline-dinov2` and the peer's AnomalyDINO (`--models sightline-dinov2,anomalydino`) have the
same DINOv2 ViT-S/14 weights and an area of 252 x 252 px."""


def page(result):
    load = ", ".join(f"{value:.1f}" for value in result["load"])
    lines = ["# Beside a peer: anomalib 2.7.0", ""]
    lines += [f"Measured {result['date']} on {result['machine']}, load {load} at the start, by `make bench-peer`.", ""]
    lines += ["## Accuracy", "", *accuracy(result["sets"]), ""]
    for peer, name in PEERS.items():
        lines += [f"## Ratios to {name}", "", *ratios(result["sets"], peer), ""]
    lines += ["## Every figure", "", *every(result["sets"]), "", "## Installation", ""]
    lines += [*installation(result["environments"]), "", "## How", "", METHOD, ""]
    return "\n".join(lines)


def accuracy(sets):
    """Image AUROC of ours at its default against the better of the two peers, set by set; AUPRO beside it."""
    heads = ("image AUROC: ours", *PEERS.values(), "ours less the better", "AUPRO: ours", *PEERS.values())
    rows, gaps = table("set", *heads), []
    for name, entry in sets.items():
        models = entry["models"]
        if not {"sightline", *PEERS} <= models.keys():
            continue
        ours, *theirs = (models[model]["image_auroc"] for model in ("sightline", *PEERS))
        gaps.append(ours - max(theirs))
        cells = [figure(value, 3) for value in (ours, *theirs)] + [f"{gaps[-1]:+.3f}"]
        cells += [figure(models[model]["aupro"], 3) for model in ("sightline", *PEERS)]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    if not gaps:
        return rows
    told = f"Mean difference {mean(gaps):+.3f} (goal +0.060); at least the better peer on {sum(g >= 0 for g in gaps)} "
    return [*rows, "", told + f"of {len(gaps)} sets (goal: all). One deal of the parts (seed 0)."]


def ratios(sets, peer):
    """One row per figure and set: ours divided by the peer's, against the goal, which is stated for PatchCore."""
    rows = table("set", "figure", *(f"{words} (goal)" for words in OURS.values()))
    for name, entry in sets.items():
        models = entry["models"]
        if peer in models:
            rows += [f"| {name} | {words} | {' | '.join(cells(models, peer, key, goals))} |"
                     for key, (words, goals) in GOALS.items()]  # fmt: skip
    return [*rows, "", *differences(sets, peer)]


def cells(models, peer, key, goals):
    for model in OURS:
        if model not in models:
            yield "-"
            continue
        ratio = models[model][key] / models[peer][key]
        goal = goals.get(model) if peer == "patchcore" else None
        said = "" if goal is None else f" (1/{1 / goal:.0f}: {'yes' if ratio <= goal else '**no**'})"
        yield f"1/{1 / ratio:.1f}{said}"


def differences(sets, peer):
    """Mean over sets of ours minus the peer's, for the sets where both have the figure."""
    rows = table("mean of ours minus the peer's", *OURS.values(), "sets")
    for key, words in ACCURACY.items():
        row, counts = [], set()
        for model in OURS:
            both = [entry["models"] for entry in sets.values() if {model, peer} <= entry["models"].keys()]
            gaps = [m[model][key] - m[peer][key] for m in both if None not in (m[model][key], m[peer][key])]
            row.append(f"{mean(gaps):+.4f}" if gaps else "-")
            counts.add(len(gaps))
        rows.append(f"| {words} | {' | '.join(row)} | {', '.join(map(str, sorted(counts)))} |")
    return rows


def every(sets):
    heads = ("set (train, test good + defective)", "model", "input", "bank", "image AUROC", "image AP", "AUPRO")
    rows = table(*heads, "AUPRO to 5 %", "fit, s", "fit, CPU s", "peak, MB", "ms p50", "date, load after fit")
    for name, entry in sets.items():
        count = entry["images"]
        title = f"{name} ({count['train']}, {count['good']} + {count['defective']})"
        for model, row in entry["models"].items():
            shares = [figure(row[key], 4) for key in ("image_auroc", "image_ap", "aupro", "aupro_05")]
            costs = [figure(row[key], 1) for key in ("fit_s", "fit_cpu_s")]
            costs += [figure(row["peak_rss_mb"], 0), figure(row["ms_p50"], 1), f"{row['date']}, {row['load']:.1f}"]
            size = " x ".join(map(str, row["input"]))
            rows.append(f"| {title} | {model} | {size} | {row['bank'] or '-'} | {' | '.join(shares + costs)} |")
    return rows


def installation(environments):
    rows = table("what", "packages", "MB on disk", "of it torch, MB", "import, s")
    for name, row in environments.items():
        sizes = f"{row['mb']:.0f} | {row['torch_mb']:.0f}"
        rows.append(f"| {name} | {row['packages']} | {sizes} | {row['import_s']:.2f} |")
    return rows


def table(*heads):
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]


def figure(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"
