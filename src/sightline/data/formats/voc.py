"""Pascal VOC (Everingham et al., IJCV 2010): JPEGImages/, Annotations/<stem>.xml, ImageSets/Main/{train,test,...}.txt.

Boxes count pixels from 1, both ends included. A file without objects is a good part.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from sightline.core.errors import InputError
from sightline.core.region import Rectangle, Region
from sightline.core.sample import Sample
from sightline.data.formats.document import as_name, as_number, as_size, read_text, read_xml, within
from sightline.data.formats.folders import images_in
from sightline.data.formats.listing import Listing, Mark, sides
from sightline.data.formats.picture import Note, Picture, placed


def _folder(path: Path, *names: str) -> Path | None:
    if not path.is_dir():
        return None
    return next((entry for entry in sorted(path.iterdir()) if entry.name.lower() in names and entry.is_dir()), None)


def found(path: Path) -> bool:
    """Folders of images and of XML files are there."""
    notes = _folder(path, "annotations")
    return bool(notes and _folder(path, "jpegimages", "images") and next(notes.glob("*.xml"), None))


def read(path: Path) -> list[Sample]:
    """Samples with boxes. Raises InputError naming the file that cannot be used."""
    notes, pictures = _folder(path, "annotations"), _folder(path, "jpegimages", "images")
    if not notes or not pictures:
        raise InputError(f"{path}: the folder JPEGImages or Annotations is missing. Check the path")
    images = images_in(pictures)
    by_stem = {image.stem: image for image in images}
    split, listing = _splits(path / "ImageSets" / "Main"), Listing(path)
    annotated = set()
    for file in sorted(notes.glob("*.xml")):
        image = _read_file(file, pictures, by_stem, split, listing)
        annotated.add(image)
    for image in images:
        if image not in annotated:
            listing.add_unlabelled(image, split.get(image.stem))
    return listing.samples()


def _read_file(file: Path, pictures: Path, by_stem: dict[str, Path], split: dict[str, str], listing: Listing) -> Path:
    root = read_xml(file)
    name = (root.findtext("filename") or "").strip()
    named = within(pictures, name, f"{file}, filename") if name else None
    # Many files carry a name that was changed later, or one without its suffix: the XML's own stem goes first.
    image = by_stem.get(file.stem) or (named if named and named.is_file() else by_stem.get(Path(name).stem))
    image = image or named or pictures / f"{file.stem}.jpg"
    if named and named.is_file() and named != image:
        raise InputError(f"{file}, filename: '{name}' is another image than {image.name}. Correct the file name")
    high, wide = as_size(root.findtext("size/height") or 0, root.findtext("size/width") or 0, f"{file}, size")
    size = (high, wide) if high and wide else None
    marks = [_mark(item, f"{file}, object {number}") for number, item in enumerate(root.iter("object"), 1)]
    listing.add(image, marks, str(file), size=size, split=split.get(image.stem))
    return image


def _mark(item: Element, location: str) -> Mark:
    name = as_name(item.findtext("name"), location)
    left, top, right, bottom = (
        as_number((item.findtext(f"bndbox/{side}") or "").strip(), f"{location}, {side}")
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return Region(name, Rectangle(left - 1, top - 1, right - left + 1, bottom - top + 1)), location


def _splits(folder: Path) -> dict[str, str]:
    """The side of each stem in the lists; the lists of single classes (crack_train.txt) repeat them."""
    if not folder.is_dir():
        return {}
    names = [name for name in ("test", "val", "train", "trainval") if (folder / f"{name}.txt").is_file()]
    given: dict[str, str] = {}
    for name, side in sides(names).items():
        stems = {line.split()[0] for line in read_text(folder / f"{name}.txt").splitlines() if line.strip()}
        both = sorted(stem for stem in stems if side and given.get(stem, side) != side)
        if both and not (name == "trainval" and "val" in names):
            raise InputError(
                f"{folder}: '{both[0]}' is in {name}.txt and on the other side as well. Keep it in one list"
            )
        given |= {stem: side for stem in stems if side and stem not in given}
    return given


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """JPEGImages/, Annotations/, and ImageSets/Main/ where there is a split. An unlabelled image gets no XML.

    Every region becomes a box in whole pixels.
    """
    exported = placed(pictures, note)
    (folder / "Annotations").mkdir(parents=True)
    for picture in exported:
        picture.copy(folder / "JPEGImages")
        if picture.sample.defective is not None:
            tree = ElementTree(_annotation(picture))
            indent(tree)
            tree.write(folder / "Annotations" / f"{picture.stem}.xml", encoding="utf-8", xml_declaration=True)
    for split in sorted({picture.sample.split for picture in exported if picture.sample.split}):
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        stems = [picture.stem for picture in exported if picture.sample.split == split]
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
