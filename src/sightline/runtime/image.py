"""Pictures and masks as arrays, for scripts; `sightline.imaging` has the one decoder."""

from sightline.imaging.image import content_hash, read_image
from sightline.imaging.mask import read_mask

__all__ = ["content_hash", "read_image", "read_mask"]
