"""The sample products by name: a new product is a scene, a table of its defects, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sightline.core.errors import InputError
from sightline.data.sample import board_defects, cap_defects
from sightline.data.sample.board_scene import BoardScene
from sightline.data.sample.cap_scene import CapScene
from sightline.data.sample.product import Flaw, Product

PRODUCTS: Final[dict[str, tuple[Callable[[int], Any], Mapping[str, Flaw[Any, Any]]]]] = {
    "cap": (CapScene, cap_defects.DEFECTS),
    "board": (BoardScene, board_defects.DEFECTS),
}


def open_product(name: str, size: int) -> Product:
    """A product for images of `size` px. Raises InputError for a name that does not exist."""
    _check(name)
    scene, defects = PRODUCTS[name]
    return Product(scene(size), defects)


def defect_types(name: str) -> tuple[str, ...]:
    """The defect types that a product can be rendered with, in a fixed order. Raises InputError as `open_product`."""
    _check(name)
    return tuple(PRODUCTS[name][1])


def _check(name: str) -> None:
    if name not in PRODUCTS:
        raise InputError(f"there is no sample product '{name}'. Choose one of: {', '.join(PRODUCTS)}")
