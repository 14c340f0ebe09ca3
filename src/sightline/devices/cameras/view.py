"""The view: which part of the picture is kept, and how it is turned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import CameraError
from sightline.devices.cameras.settings import CameraSettings

_TURN = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIP = {"horizontal": 1, "vertical": 0}


def take_view(image: NDArray[np.uint8], settings: CameraSettings) -> NDArray[np.uint8]:
    """The region of interest of (H, W, 3), turned, then mirrored. Raises CameraError where the region lies outside."""
    roi = settings.roi
    if roi is not None:
        height, width = image.shape[:2]
        if roi.x_px + roi.width_px > width or roi.y_px + roi.height_px > height:
            raise CameraError(
                f"camera {settings.name}: the region of interest reaches beyond the picture of {width} x {height} px. "
                "Make it smaller",
                "size",
            )
        image = image[roi.y_px : roi.y_px + roi.height_px, roi.x_px : roi.x_px + roi.width_px]
    if settings.rotate_deg:
        image = np.asarray(cv2.rotate(image, _TURN[settings.rotate_deg]), np.uint8)
    if settings.flip != "none":
        image = np.asarray(cv2.flip(image, _FLIP[settings.flip]), np.uint8)
    return np.ascontiguousarray(image)
