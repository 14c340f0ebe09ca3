"""GenICam cameras of any make, by Harvester and the GenTL producer (.cti) of the maker."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from sightline.core.errors import CameraError, MissingExtraError
from sightline.devices.cameras.settings import Value, VisionSettings, set_features
from sightline.devices.cameras.source import RawImage

_producers: dict[Path, tuple[Any, int]] = {}
_producers_lock = threading.Lock()


class Settings(VisionSettings):
    """A camera behind a GenTL producer. A producer for GigE looks for cameras by broadcast in its own way."""

    kind: Literal["genicam"] = "genicam"
    cti: Path = Field(description="the manufacturer's GenTL producer, a .cti file; it is executable code")
    device: str = Field("", max_length=200, description="id or serial number of the camera; empty: the only one")


class GenicamSource:
    """An open camera that grabs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        if not settings.cti.is_file():
            raise CameraError(
                f"camera {settings.name}: {settings.cti} is not a file. Install the manufacturer's GenTL producer"
            )
        _, self._gentl_error, self._node_error = _import()
        self._device: Any = None
        self._harvester: Any = None
        try:
            self._harvester = _borrow(settings.cti)
            self._device = self._harvester.create(self._index())
            self._nodes = self._device.remote_device.node_map
            set_features(settings, self._put)
            self._device.num_buffers = settings.buffers
            self._device.start()
        except CameraError:
            self.close()
            raise
        except (self._gentl_error, self._node_error, OSError, ValueError, RuntimeError) as error:
            self.close()
            raise self._lost(error) from error

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture, after a software trigger where so configured. Raises CameraError."""
        try:
            if self._settings.trigger == "software":
                while (old := self._device.try_fetch(timeout=0.001)) is not None:
                    old.queue()  # what came too late for an earlier part would be taken for this one
                self._nodes.TriggerSoftware.execute()
            # `fetch` would begin its time-out anew with every incomplete picture.
            asked, wait = time.monotonic(), max(0.001, timeout_ms / 1e3)
            fetched = self._device.try_fetch(timeout=wait)
            if fetched is None:
                raise self._nothing(time.monotonic() - asked >= wait)
            with fetched as buffer:
                return self._picture(buffer)
        except (self._gentl_error, self._node_error) as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Let go of the camera and the producer."""
        try:
            device, self._device = self._device, None
            if device is not None:
                device.destroy()
        except (self._gentl_error, self._node_error) as error:
            raise self._lost(error) from error
        finally:
            harvester, self._harvester = self._harvester, None
            if harvester is not None:
                _give_back(self._settings.cti)

    def _index(self) -> int:
        wanted, found = self._settings.device, [(d.id_, d.serial_number) for d in self._harvester.device_info_list]
        at = [i for i, names in enumerate(found) if not wanted or wanted in names]
        if len(at) == 1:
            return at[0]
        ids = ", ".join(name for name, _ in found) or "none"
        raise CameraError(f"camera {self._settings.name}: {len(at)} cameras fit {wanted!r} (found: {ids}). Set device")

    def _put(self, name: str, value: Value) -> None:
        if not self._nodes.has_node(name):
            raise LookupError("the camera does not have it")
        try:
            self._nodes.get_node(name).value = value
        except (self._node_error, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error

    def _picture(self, buffer: Any) -> RawImage:
        if not buffer.module.is_complete() or not buffer.payload.components:
            raise self._nothing(late=False)
        part = buffer.payload.components[0]
        # A copy: the driver uses its buffer again.
        pixels = np.array(part.data, copy=True)
        size = int(part.height), int(part.width)
        return RawImage(pixels=pixels, layout=str(part.data_format), size=size, device_id=int(buffer.module.frame_id))

    def _nothing(self, late: bool) -> CameraError:
        name = self._settings.name
        if late:
            return CameraError(f"camera {name}: no picture came. Check trigger and cable", "timeout")
        return CameraError(f"camera {name}: packets of the picture were lost. Check cable and network", "incomplete")

    def _lost(self, error: Exception) -> CameraError:
        return CameraError(f"camera {self._settings.name}: {error}. Check its cable, and that nobody else uses it")


def _import() -> tuple[Any, Any, Any]:
    try:
        from genicam.genapi import GenericException as NodeError
        from genicam.gentl import GenericException
        from harvesters.core import Harvester
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name).split(".", maxsplit=1)[0], "genicam") from error
    return Harvester, GenericException, NodeError


def _borrow(cti: Path) -> Any:
    """The Harvester of a producer, which a process can load once: all cameras of one maker share it."""
    with _producers_lock:
        harvester, users = _producers.get(cti, (None, 0))
        if harvester is None:
            harvester = _import()[0]()
            harvester.add_file(str(cti), check_validity=True)
            harvester.update()  # only once: looking for cameras again closes those that are in use
        _producers[cti] = harvester, users + 1
        return harvester


def _give_back(cti: Path) -> None:
    with _producers_lock:
        harvester, users = _producers[cti]
        _producers[cti] = harvester, users - 1
        if users == 1:
            del _producers[cti]
            harvester.reset()


def open_source(settings: Settings) -> GenicamSource:
    """Open the camera. Raises CameraError where it is away, MissingExtraError without harvesters."""
    return GenicamSource(settings)
