"""Writing Pascal VOC: a box around every region, in whole pixels counted from 1, both ends included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from sightline.core.region import Region
from sightline.data.formats.picture import Note, Picture, placed


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """JPEGImages/, Annotations/, and ImageSets/Main/ where there is a split. An unlabelled image gets no XML."""
    kept = placed(made, note)
    (folder / "Annotations").mkdir(parents=True)
    for picture in kept:
        picture.copy(folder / "JPEGImages")
        if picture.sample.defective is not None:
            tree = ElementTree(_annotation(picture))
            indent(tree)
            tree.write(folder / "Annotations" / f"{picture.stem}.xml", encoding="utf-8", xml_declaration=True)
    for split in sorted({picture.sample.split for picture in kept if picture.sample.split}):
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        stems = [picture.stem for picture in kept if picture.sample.split == split]
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def _annotation(picture: Picture) -> Element:
    root = Element("annotation")
    SubElement(root, "folder").text = "JPEGImages"
    SubElement(root, "filename").text = picture.name
    size = SubElement(root, "size")
    for name, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
        SubElement(size, name).text = str(value)
    SubElement(root, "segmented").text = "0"
    for region in picture.regions:
        item = SubElement(root, "object")
        SubElement(item, "name").text = region.type
        for name in ("truncated", "difficult"):
            SubElement(item, name).text = "0"
        box = SubElement(item, "bndbox")
        for name, number in zip(("xmin", "ymin", "xmax", "ymax"), _corners(region), strict=True):
            SubElement(box, name).text = str(number)
    return root


def _corners(region: Region) -> tuple[int, int, int, int]:
    x, y, width, height = region.box
    left, top = round(x) + 1, round(y) + 1
    return left, top, max(round(x + width), left), max(round(y + height), top)
