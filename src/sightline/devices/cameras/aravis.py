"""GigE Vision cameras by Aravis, which speaks their protocol itself and needs no producer of the maker."""

from __future__ import annotations

import threading
from typing import Any, Literal

import numpy as np
from pydantic import Field

from sightline.core.errors import CameraError, MissingExtraError
from sightline.devices.cameras.settings import Value, VisionSettings, set_features
from sightline.devices.cameras.source import RawImage

# Pixel format numbers of GigE Vision 2.0 and their names in PFNC.
LAYOUTS = {
    0x01080001: "Mono8",
    0x01100003: "Mono10",
    0x010C0004: "Mono10Packed",
    0x01100005: "Mono12",
    0x010C0006: "Mono12Packed",
    0x01100007: "Mono16",
    0x01080008: "BayerGR8",
    0x01080009: "BayerRG8",
    0x0108000A: "BayerGB8",
    0x0108000B: "BayerBG8",
    0x0110000C: "BayerGR10",
    0x0110000D: "BayerRG10",
    0x0110000E: "BayerGB10",
    0x0110000F: "BayerBG10",
    0x01100010: "BayerGR12",
    0x01100011: "BayerRG12",
    0x01100012: "BayerGB12",
    0x01100013: "BayerBG12",
    0x02180014: "RGB8",
    0x02180015: "BGR8",
}


class Settings(VisionSettings):
    """A GigE Vision camera by its address: no broadcast."""

    kind: Literal["aravis"] = "aravis"
    ip: str = Field(min_length=1, max_length=64, description="the camera's address or host name")


class AravisSource:
    """An open camera that grabs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._aravis, self._error = _import()
        self._lock = threading.Lock()
        self._camera: Any = None
        try:
            self._camera = self._aravis.Camera.new(settings.ip)
            set_features(settings, self._put)
            self._stream = self._camera.create_stream(None, None)
            size = self._camera.get_payload()
            for _ in range(settings.buffers):
                self._stream.push_buffer(self._aravis.Buffer.new_allocate(size))
            self._camera.start_acquisition()
        except self._error as error:
            self._camera = self._stream = None
            raise self._lost(error) from error
        except CameraError:
            self._camera = self._stream = None
            raise

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture, after a software trigger where so configured. Raises CameraError."""
        with self._lock:
            if self._camera is None:
                raise CameraError(f"camera {self._settings.name} is closed. Open it again", "closed")
            try:
                if self._settings.trigger == "software":
                    while (old := self._stream.try_pop_buffer()) is not None:
                        self._stream.push_buffer(old)  # what came too late for an earlier part
                    self._camera.software_trigger()
                buffer = self._stream.timeout_pop_buffer(max(1000, round(timeout_ms * 1e3)))
            except self._error as error:
                raise self._lost(error) from error
            if buffer is None:
                raise self._nothing()
            try:
                return self._picture(buffer)
            finally:
                self._stream.push_buffer(buffer)

    def close(self) -> None:
        """Stop and let go of the camera."""
        with self._lock:
            camera, self._camera, self._stream = self._camera, None, None
            if camera is not None:
                try:
                    camera.stop_acquisition()
                except self._error as error:
                    raise self._lost(error) from error

    def _put(self, name: str, value: Value) -> None:
        device = self._camera.get_device()
        if device.get_feature(name) is None:
            raise LookupError("the camera does not have it")
        try:
            device.set_features_from_string(f"{name}={value}")
        except self._error as error:
            raise ValueError(str(error)) from error

    def _picture(self, buffer: Any) -> RawImage:
        status = buffer.get_status()
        if status != self._aravis.BufferStatus.SUCCESS:
            raise CameraError(
                f"camera {self._settings.name}: packets of the picture were lost ({status.value_nick}). "
                "Check the network: jumbo frames, its own port, no switch in between",
                "incomplete",
            )
        number = int(buffer.get_image_pixel_format())
        layout = LAYOUTS.get(number, f"{number:#010x}")
        # A copy: the driver uses its buffer again.
        pixels = np.frombuffer(buffer.get_data(), np.uint8).copy()
        size = int(buffer.get_image_height()), int(buffer.get_image_width())
        return RawImage(pixels=pixels, layout=layout, size=size, device_id=int(buffer.get_frame_id()))

    def _nothing(self) -> CameraError:
        try:
            self._camera.get_device().read_register(0)  # is anybody there?
        except self._error as error:
            return self._lost(error)
        return CameraError(f"camera {self._settings.name}: no picture came. Check trigger and cable", "timeout")

    def _lost(self, error: Exception) -> CameraError:
        return CameraError(f"camera {self._settings.name} at {self._settings.ip}: {error}. Check its cable and address")


def _import() -> tuple[Any, Any]:
    try:
        import gi
    except ModuleNotFoundError as error:
        raise MissingExtraError("PyGObject", "aravis") from error
    try:
        gi.require_version("Aravis", "0.8")
        from gi.repository import Aravis, GLib
    except (ValueError, ImportError) as error:
        raise CameraError("Aravis 0.8 is not installed. On Debian: apt install gir1.2-aravis-0.8") from error
    return Aravis, GLib.Error


def open_source(settings: Settings) -> AravisSource:
    """Open the camera. Raises CameraError where it is away, MissingExtraError without PyGObject."""
    return AravisSource(settings)
