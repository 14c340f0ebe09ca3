"""A run of sample parts: the same product again and again, each part a little different."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sightline.core.errors import InputError
from sightline.data.sample.catalog import defect_types
from sightline.data.sample.part import Part
from sightline.data.sample.studio import Studio


def render(
    product: str,
    count: int,
    *,
    types: Sequence[str] | None = None,
    defect_rate: float = 0.0,
    seed: int = 0,
    size: int = 512,
    lots: int = 3,
    drift: float = 0.0,
) -> Iterator[Part]:
    """Render `count` parts of a product, one at a time.

    `defect_rate`: chance of each part to get one defect, its type drawn evenly from `types` (default: all of
    the product's). `lots`: parts of so many lots arrive in turn. `drift`: relative change of the light from
    the first part to the last, such as -0.3. Equal arguments give equal bits; a part depends on the seed and
    its index, and on `count` only through `drift`. Raises InputError at once for an argument out of range.
    """
    chosen = checked_types(product, types)
    if count < 0:
        raise InputError(f"{count} parts cannot be rendered. Choose a count of 0 or more")
    if not 0 <= defect_rate <= 1:
        raise InputError(f"the defect rate {defect_rate} is not a share. Choose a value from 0 to 1")
    check_drift(drift)
    studio = Studio(product, seed=seed, size=size, lots=lots)

    def parts() -> Iterator[Part]:
        for index in range(count):
            kind = studio.drawn_kind(index, chosen, defect_rate)
            yield studio.render(index, kind, drift * progress(index, count))

    return parts()


def progress(index: int, count: int) -> float:
    """How far into the run a part comes: 0 for the first, 1 for the last."""
    return index / max(count - 1, 1)


def checked_types(product: str, types: Sequence[str] | None) -> tuple[str, ...]:
    """The given defect types, or all of the product's; InputError for one that it does not have."""
    known = defect_types(product)
    chosen = known if types is None else tuple(types)
    unknown = [kind for kind in chosen if kind not in known]
    if unknown or not chosen:
        named = f"'{unknown[0]}'" if unknown else "an empty list of types"
        raise InputError(f"the sample product '{product}' has no defect {named}. Choose from: {', '.join(known)}")
    return chosen


def check_drift(drift: float) -> None:
    """InputError for a drift that would turn the light off, or blind the camera."""
    if not -0.9 <= drift <= 4:
        raise InputError(f"a drift of {drift} cannot be photographed. Choose a value from -0.9 to 4")
