"""A picture's size from its header alone, for scripts that read datasets: `sightline.imaging` has the one parser."""

from sightline.imaging.decoding import image_size

__all__ = ["image_size"]
