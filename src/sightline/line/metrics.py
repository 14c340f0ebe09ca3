"""What the station counts: Prometheus metrics in a registry of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

STAGES = ("grab", "inspect", "record", "signal", "total")
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.5, 1.0, 2.0)


class Metrics:
    """Counters, gauges and histograms; every one carries the station's name."""

    def __init__(self, station: str, folder: Path) -> None:
        self.registry = CollectorRegistry()
        self._station, self._folder = station, folder
        self._parts = self._counter("parts", "parts by verdict and mode", "verdict", "mode")
        self._errors = self._counter("errors", "parts that could not be judged, by error code", "code")
        self._late = self._counter("deadline_misses", "parts that were answered by the deadline")
        self._events = self._counter("events", "what happened beside parts, by kind", "kind")
        self._stages = Histogram(
            "sightline_stage_seconds", "seconds of each stage", ("station", "stage"), buckets=BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._levels: dict[str, Gauge] = {}
        self.level("disk_free_bytes", 0, "free space where the station writes")

    def part(self, verdict: str, mode: str, error: int, late: bool, stages_ms: Mapping[str, float]) -> None:
        """Count one part's answer."""
        self._parts.labels(self._station, verdict, mode).inc()
        if error:
            self._errors.labels(self._station, str(error)).inc()
        if late:
            self._late.labels(self._station).inc()
        for stage, ms in stages_ms.items():
            if stage in STAGES:
                self._stages.labels(self._station, stage).observe(ms / 1e3)

    def event(self, kind: str) -> None:
        """Count an event: a changeover, a restart, a picture that was dropped."""
        self._events.labels(self._station, kind).inc()

    def level(self, name: str, value: float, what: str = "", **labels: str) -> None:
        """Set a gauge, for instance how many messages wait."""
        if name not in self._levels:
            names = ("station", *labels)
            self._levels[name] = Gauge(f"sightline_{name}", what or name, names, registry=self.registry)
        self._levels[name].labels(self._station, *labels.values()).set(value)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        self.level("disk_free_bytes", shutil.disk_usage(self._folder).free)
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"sightline_{name}", what, ("station", *labels), registry=self.registry)
