"""A plant: a station that records into the store, and people who work through the server's API."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from year.parts import KNOWN, NEW, Year

from sightline.core.result import Verdict
from sightline.core.sample import Frame
from sightline.data.sample import Part as Cap
from sightline.line.decision import Decision, ViewResult
from sightline.line.inspection_worker import view_result
from sightline.line.part import Part, key_of
from sightline.line.recorder import Recorder
from sightline.line.settings import StationSettings
from sightline.operations import drift, learning, schedules
from sightline.operations.improving import find_champion
from sightline.operations.store import add_samples
from sightline.operations.worker import work
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.inspector import Inspector
from sightline.store.store import Store
from sightline.web.client import Client

PRODUCT, STATION, VIEW, PASSWORD = "cap", "press-1", "top", "a year on the line"
TAKT_S = 0.03  # so that pictures are written as parts come; a line has more time
SEEN = 5  # times
LEARN_EVERY = 4  # days
NEW_NAME = "smear"  # as people at the line call it


@dataclass(frozen=True)
class Event:
    """What happened after part `index`: to the line, in an alarm, or by a person's decision."""

    index: int
    kind: str
    text: str


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """`sightline serve` over the store in a folder: its address, and the token for the first user."""
    command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--no-browser", "--set", "worker=false"]
    command += ["--db", str(folder / "store.db"), "--set", f"folder={folder / 'work'}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    assert process.stderr is not None
    try:
        url = process.stderr.readline().partition(" is on ")[2].strip()
        yield url, process.stderr.readline().strip().rpartition("#")[2]
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


class Station:
    """Inspects with the promoted recipe and what was learned since; the first recipe runs beside it as a shadow."""

    def __init__(self, store: Store, folder: Path, ask_ok: float, ask_ng: float) -> None:
        self._store, self._folder, self._hash = store, folder, ""
        values: dict[str, Any] = {
            "name": STATION, "line": "caps", "folder": folder / "station", "database": str(folder / "store.db"),
            "views": [{"name": VIEW, "camera": {"kind": "fake", "images": str(folder)}}],
            "recipes": [{"name": PRODUCT, "id": 1, "file": folder / "unused.onnx"}], "controller": {"kind": "fake"},
            "review_ok": ask_ok, "review_ng": ask_ng, "keep": {"every": 4, "part_id": r"(?P<lot>L\d+)-(?P<serial>\d+)"},
        }  # fmt: skip
        self._settings = StationSettings.model_validate(values)
        self.take_over()
        self._frozen = self._inspector

    def take_over(self) -> None:
        """Run what is promoted now, and what was learned since: a station looks every two seconds."""
        champion = find_champion(self._store, PRODUCT)
        assert champion is not None
        if champion.hash != self._hash:
            self._hash = champion.hash
            self._inspector = Inspector(learning.stored_recipe(self._store, champion.hash))
        active = self._store.adaptations.active(STATION, champion.hash)
        self._inspector.adapt(None if active is None else Adaptation.of(self._store.adaptations.file(active.id)))
        self._changed = active is not None

    def day(self, year: Year, caps: list[tuple[int, Cap]]) -> list[tuple[Verdict, Verdict, dict[str, float]]]:
        """Inspect and record a day's parts: verdicts of the frozen and of the current recipe, and the named types."""
        recorder, found = Recorder(self._settings), []
        for index, cap in caps:
            now, moment = time.monotonic(), year.moment(index).timestamp()
            told = self._look(self._inspector, cap)
            same = self._inspector is self._frozen and not self._changed
            shadow = told if same else self._look(self._frozen, cap)
            part = Part(key_of(STATION, moment), f"{cap.lot}-{index:05}", PRODUCT, 1, moment, now, now + 1)
            frame = Frame(image=cap.image, id=index + 1, captured=moment, monotonic_s=now, complete_s=now, camera=VIEW)
            recorder.record(part, Decision(told.verdict, (told,)), moment, [frame])
            recorder.record_shadow(part, told, shadow)
            found.append((shadow.verdict, told.verdict, dict(told.types)))
            time.sleep(max(0.0, now + TAKT_S - time.monotonic()))
        while recorder.waiting:
            time.sleep(0.01)
        recorder.close()
        return found

    def _look(self, inspector: Inspector, cap: Cap) -> ViewResult:
        result = inspector.inspect(cap.image)
        return view_result(result, VIEW, inspector.digest, result.times_ms, inspector.card.band)


class People:
    """A reviewer, who errs in a share `errs` of the answers, and an engineer; both only through the API."""

    def __init__(self, url: str, token: str, errs: float, seed: int = 0) -> None:
        self.engineer, self.reviewer = Client(url), Client(url)
        self.engineer.set_up(token, "engineer", PASSWORD)
        self.engineer.log_in("engineer", PASSWORD)
        self.engineer.add_user("reviewer", "reviewer", PASSWORD)
        self.reviewer.log_in("reviewer", PASSWORD)
        self._errs, self._rng = errs, np.random.default_rng(seed)
        self.named, self.strange = False, list[int]()
        self.answered = self.wrong = 0

    def close(self) -> None:
        """Go home."""
        self.engineer.close()
        self.reviewer.close()

    def review(self, truth: dict[str, str]) -> None:
        """Answer all that waits. Two labelled pictures in three are for training, the third is for testing."""
        labelled: list[int] = []
        while waiting := self.reviewer.post("/reviews/claim", {"count": 50}, once=False):
            for one in waiting:
                shown = self.reviewer.get(f"/reviews/{one['id']}/part")
                sample = shown["views"][0]["sample"]
                kind = truth[shown["serial"]] if shown["serial"] else self._look_up(sample, truth)
                wrong = bool(self._rng.random() < self._errs)
                bad = bool(kind) != wrong
                name = {NEW: NEW_NAME if self.named else ""}.get(kind, kind)
                said = {"answer": "defective" if bad else "good", "types": [name] if bad and name else []}
                self.reviewer.post(f"/reviews/{one['id']}/answer", said)
                self.answered, self.wrong = self.answered + 1, self.wrong + wrong
                if sample is not None and shown["serial"]:
                    labelled.append(sample)
                    self.strange += [sample] * (bad and kind == NEW and not self.named)
        self._assign("train", [one for one in labelled if one % 3])
        self._assign("test", [one for one in labelled if not one % 3])

    def _look_up(self, number: int, truth: dict[str, str]) -> str:
        """What a picture that is asked about again shows: of a part of the line, or of those before the year."""
        sample = self.reviewer.get(f"/samples/{number}")
        if sample["serial"] in truth:
            return truth[sample["serial"]]
        return next((kind for kind in KNOWN if kind in sample["name"]), "")

    def _assign(self, split: str, samples: list[int]) -> None:
        if samples:
            self.engineer.patch("/samples", {"samples": samples, "split": split})

    def acknowledge(self, alarm: dict[str, Any]) -> None:
        """The line is to stay as it is: the lamp is not to be had, the lens was changed on purpose."""
        form = {"note": "seen; the line stays as it is", "accept": alarm["cause"] != "defects"}
        self.engineer.post(f"/alarms/{alarm['id']}/acknowledge", form)

    def name(self, alarm: dict[str, Any], truth: dict[str, str]) -> list[int]:
        """Look at the parts of an alarm, and name what is new among them; the samples that show it."""
        shown = self.engineer.get(f"/alarms/{alarm['id']}/parts")["parts"]
        kinds = {
            one["inspection"]: truth[self.engineer.get(f"/inspections/{one['inspection']}")["serial"]] for one in shown
        }
        new = [number for number, kind in kinds.items() if kind == NEW]
        if len(new) < 3:
            return []
        samples = self.reviewer.post("/inspections/type", {"inspections": new, "type": NEW_NAME})["samples"]
        self._assign("train", samples[::2])
        self._assign("test", samples[1::2])
        self.named = True
        return list(samples)

    def name_strange(self) -> list[int]:
        """Whoever has seen the same strange thing five times in review writes down what it is; those samples."""
        if self.named or len(self.strange) < SEEN:
            return []
        for sample in self.strange:
            said = {"label": "defective", "types": [NEW_NAME]}
            self.reviewer.post(f"/samples/{sample}/annotations", said)
        self.named = True
        return self.strange

    def promote(self, recipe: str, why: str) -> None:
        """Have the line inspect with a recipe from now on, and no longer with the one before."""
        for before in self.engineer.items("/recipes", product=PRODUCT, state="promoted"):
            self.engineer.post(f"/recipes/{before['hash']}/state", {"state": "retired", "reason": why})
        self.engineer.post(f"/recipes/{recipe}/state", {"state": "promoted", "reason": why})


class Plant:
    """The store, its station and its people, over the year."""

    def __init__(self, year: Year, folder: Path, people: People, store: Store) -> None:
        self.year, self.people, self.store, self._folder = year, people, store, folder
        self.events: list[Event] = []
        self.truth: dict[str, str] = {}
        self._days = 0

    def begin(self, settings: dict[str, Any], good: int, each: int, ask_ok: float, ask_ng: float) -> None:
        """The first recipe, from photos of before the year; and when it is to be improved."""
        photos = self.year.write_training(self._folder / "photos", good, each)
        add_samples(self.store, photos, PRODUCT, author="engineer")
        job = {"kind": "train", "data": PRODUCT, "name": PRODUCT, "settings": settings}
        done = self._do(self.people.engineer.post("/jobs", {"job": job})["id"])
        self.people.promote(done["recipe"], "the first recipe")
        self.people.engineer.call("PUT", f"/schedules/{PRODUCT}", json={"labels": 100, "drift": True})
        self.station = Station(self.store, self._folder, ask_ok, ask_ng)

    def day(self, caps: list[tuple[int, Cap]]) -> list[tuple[Verdict, Verdict, dict[str, float]]]:
        """A day's parts, and what people and the worker do about them."""
        self._now = caps[-1][0]
        self.truth |= {f"{index:05}": (cap.types or ("",))[0] for index, cap in caps}
        found = self.station.day(self.year, caps)
        self.people.review(self.truth)
        drift.watch(self.store)
        for alarm in self.people.engineer.get("/alarms"):
            self._attend(alarm)
        self._teach(self.people.name_strange())
        for job in schedules.ask(self.store):
            self._improved(self._do(job.id)["improved"])
        self._days += 1
        if self._days % LEARN_EVERY == 0:
            self._learn()
        self.station.take_over()
        return found

    def _attend(self, alarm: dict[str, Any]) -> None:
        self._note("alarm", f"alarm: {alarm['what']}")
        samples = self.people.name(alarm, self.truth) if alarm["cause"] == "defects" else []
        self.people.acknowledge(alarm)
        self._teach(samples)

    def _teach(self, samples: list[int]) -> None:
        if samples and (champion := find_champion(self.store, PRODUCT)) is not None:
            job = {"kind": "teach", "recipe": champion.hash, "type": NEW_NAME, "samples": samples, "name": PRODUCT}
            done = self._do(self.people.engineer.post("/jobs", {"job": job})["id"])
            self.people.promote(done["recipe"], f"knows {NEW_NAME}")
            self._note("recipe", f"“{NEW_NAME}” named on {len(samples)} parts and taught to the recipe")

    def _improved(self, done: dict[str, Any]) -> None:
        decision = done["decision"]
        if done["state"] == "shadow":
            self.people.promote(done["challenger"], "; ".join(decision["reasons"])[:900])
            self._note(
                "recipe",
                f"new recipe, which has learned from {done['learned']} answers, compared with the old one and promoted",
            )
        else:
            lost = len(decision["lost"])
            why = f"{lost} defective parts would be OK, and are looked at again" if lost else decision["reasons"][0]
            self._note("kept", f"new recipe not promoted: {why}")

    def _learn(self) -> None:
        for one in learning.learn(self.store, STATION, "worker"):
            if one.change is not None:
                self.people.engineer.post(f"/learning/{one.change.id}/decide", {"admit": True, "note": "looks right"})
                self._note("learned", "the station has followed slow change; the canary found no defect that passes")
            elif one.round.canary is not None and not one.round.canary.passed:
                self._note("refused", "self-learning refused by the canary: a known defective part would be OK")

    def _do(self, job: int) -> dict[str, Any]:
        """Wait for a job, which the worker does in a process of its own."""
        stopping = threading.Event()
        worker = threading.Thread(target=work, args=(self.store, self._folder / "work", stopping))
        worker.start()
        try:
            while (told := self.people.engineer.get(f"/jobs/{job}"))["state"] in ("queued", "running"):
                time.sleep(0.1)
        finally:
            stopping.set()
            worker.join()
        assert told["state"] == "done", told["error"]
        return dict(told["result"])

    def _note(self, kind: str, text: str) -> None:
        self.events.append(Event(self._now, kind, text))
        print(f"{self.year.moment(self._now):%d %b}: {text}", file=sys.stderr)
