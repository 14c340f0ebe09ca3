"""Basler cameras by pypylon, and Basler's camera emulator."""

from __future__ import annotations

import os
import warnings
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from sightline.core.errors import CameraError, MissingExtraError
from sightline.devices.cameras.settings import Value, VisionSettings, set_features
from sightline.devices.cameras.source import RawImage

EMULATED = 2


class Settings(VisionSettings):
    """A Basler camera, by its serial number or address; nothing is looked for by broadcast where `ip` is set."""

    kind: Literal["basler"] = "basler"
    transport: Literal["BaslerUsb", "BaslerGigE", "BaslerCamEmu"] = Field(
        "BaslerUsb", description="how the camera is attached; BaslerCamEmu is the emulator"
    )
    serial: str = Field("", max_length=64, description="serial number of the camera")
    ip: str = Field("", max_length=64, description="BaslerGigE: the camera's address")

    @model_validator(mode="after")
    def _named(self) -> Settings:
        if not self.serial and not self.ip:
            raise ValueError("name the camera: set serial, or ip with BaslerGigE")
        if self.ip and self.transport != "BaslerGigE":
            raise ValueError("ip is for BaslerGigE: leave it out")
        return self


class BaslerSource:
    """An open camera that grabs."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._pylon = settings, _import(settings.transport)
        self._error = self._pylon.GenericException
        try:
            self._camera = self._open()
            set_features(settings, self._put)
            self._layout = str(self._camera.GetNodeMap().GetNode("PixelFormat").ToString())
            self._camera.MaxNumBuffer.SetValue(settings.buffers)
            self._camera.StartGrabbing(self._pylon.GrabStrategy_OneByOne)
        except self._error as error:
            raise self._lost(error) from error

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture, after a software trigger where so configured. Raises CameraError."""
        wait, pylon = max(1, round(timeout_ms)), self._pylon
        try:
            if self._settings.trigger == "software":
                self._drain()
                if not self._camera.WaitForFrameTriggerReady(wait, pylon.TimeoutHandling_Return):
                    raise CameraError(f"camera {self._settings.name}: not ready for a trigger", "timeout")
                self._camera.ExecuteSoftwareTrigger()
            grabbed = self._camera.RetrieveResult(wait, pylon.TimeoutHandling_Return)
            if not grabbed.IsValid():
                raise self._nothing()
            with grabbed:
                return self._picture(grabbed)
        except self._error as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Let go of the camera."""
        try:
            self._camera.Close()
        except self._error as error:
            raise self._lost(error) from error

    def _open(self) -> Any:
        s, pylon = self._settings, self._pylon
        info = pylon.DeviceInfo()
        info.SetDeviceClass(s.transport)
        if s.serial:
            info.SetSerialNumber(s.serial)
        if s.ip:
            info.SetIpAddress(s.ip)
        camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateTl(s.transport).CreateDevice(info))
        camera.Open()
        return camera

    def _put(self, name: str, value: Value) -> None:
        node = self._camera.GetNodeMap().GetNode(name)
        if node is None or not node.IsValid():
            raise LookupError("the camera does not have it")
        text = ("1" if value else "0") if isinstance(value, bool) else str(value)
        try:
            node.FromString(text)
        except self._error as error:
            raise ValueError(str(error)) from error

    def _drain(self) -> None:
        """Throw away what came too late for an earlier part: it would be taken for this one."""
        while True:
            old = self._camera.RetrieveResult(0, self._pylon.TimeoutHandling_Return)
            if not old.IsValid():
                return
            old.Release()

    def _picture(self, grabbed: Any) -> RawImage:
        if not grabbed.GrabSucceeded():
            raise CameraError(
                f"camera {self._settings.name}: {grabbed.ErrorDescription} Check the cable and the network",
                "incomplete",
            )
        if grabbed.PaddingX:
            raise CameraError(
                f"camera {self._settings.name}: lines are padded. Choose a width that is a multiple of 4", "unreadable"
            )
        # A copy: the driver uses its buffer again.
        pixels = np.frombuffer(grabbed.GetBuffer(), np.uint8).copy()
        size = int(grabbed.Height), int(grabbed.Width)
        return RawImage(pixels=pixels, layout=self._layout, size=size, device_id=int(grabbed.BlockID))

    def _nothing(self) -> CameraError:
        if self._camera.IsCameraDeviceRemoved():
            return CameraError(f"camera {self._settings.name} was removed. Check its cable")
        return CameraError(f"camera {self._settings.name}: no picture came. Check trigger and cable", "timeout")

    def _lost(self, error: Exception) -> CameraError:
        where = self._settings.ip or self._settings.serial
        return CameraError(
            f"camera {self._settings.name} ({where}): {error} Check its cable, and that nobody else uses it"
        )


def _import(transport: str) -> Any:
    if transport == "BaslerCamEmu":
        # The SDK reads this once, when it is loaded.
        os.environ.setdefault("PYLON_CAMEMU", str(EMULATED))
    try:
        with warnings.catch_warnings():
            # Its binary part warns of SWIG's own types, and crashes where warnings are errors.
            warnings.simplefilter("ignore", DeprecationWarning)
            from pypylon import pylon
    except ModuleNotFoundError as error:
        raise MissingExtraError("pypylon", "basler") from error
    return pylon


def open_source(settings: Settings) -> BaslerSource:
    """Open the camera. Raises CameraError where it is away, MissingExtraError without pypylon."""
    return BaslerSource(settings)
