"""The sample products by name: a new product is one file and one line here."""

from __future__ import annotations

from typing import Final

from sightline.core.errors import InputError
from sightline.data.sample.board import Board
from sightline.data.sample.cap import Cap
from sightline.data.sample.product import Product

PRODUCTS: Final[dict[str, type[Product]]] = {
    "cap": Cap,
    "board": Board,
}


def product_class(product: str) -> type[Product]:
    """The class behind a name; InputError lists the names that exist."""
    if product not in PRODUCTS:
        raise InputError(f"there is no sample product '{product}'. Choose one of: {', '.join(PRODUCTS)}")
    return PRODUCTS[product]


def defect_types(product: str) -> tuple[str, ...]:
    """The defect types that a product can be rendered with, in a fixed order."""
    return product_class(product).types
