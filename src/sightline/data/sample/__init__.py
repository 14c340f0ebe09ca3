"""Sample parts: a renderer of two products with natural variation and honest, pixel-exact defects.

Feeds the demo, the tests and the documentation where no factory's images may be shown. Everything is drawn
from a seed; nothing is downloaded.
"""

from __future__ import annotations

from sightline.data.sample.folder import render, write
from sightline.data.sample.product import Part
from sightline.data.sample.studio import PRODUCTS, defect_types

__all__ = ["PRODUCTS", "Part", "defect_types", "render", "write"]
