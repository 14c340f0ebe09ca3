"""What a label word means: the trade's words for good and for defective parts, in the languages that plants write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_GOOD = """
good, goods, ok, okay, normal, normals, pass, passed, accept, accepted, io, good part, good parts, good image,
good images, ok part, ok parts, no defect, no defects, no anomaly, no fault, defect free, defectfree, fault
free, non defective, nondefective, not defective, conforming, in ordnung, gut, gute, gutteil, gutteile, gut
teil, gut teile, fehlerfrei, ohne fehler, kein fehler, keine fehler, bon, bonne, bons, bonnes, conforme,
conformes, sans defaut, bueno, buena, buenos, buenas, sin defecto, sin defectos, buono, buona, buoni, buone,
conformi, senza difetti, bom, boa, bons, boas, sem defeito, sem defeitos, goed, godkand, godkendt, godkjent,
dobry, dobra, dobre, dobry kus, iyi, saglam,
годен, годный, хорошо, исправный, 良, 良品, 合格, 合格品, 正常, 正常品, 양품,
정상, 합격
"""
_DEFECTIVE = """
defect, defects, defective, ng, nok, not ok, nio, bad, bad part, bad parts, anomaly, anomalies, anomalous,
abnormal, fail, failed, failure, reject, rejected, faulty, fault, no good, not good, scrap, nonconforming, ko,
nicht in ordnung, nicht ok, schlecht, schlechte, schlechtteil, schlechtteile, fehler, fehlerhaft, defekt,
ausschuss, mauvais, mauvaise, defaut, non conforme, rebut, malo, mala, malos, defecto, defectuoso, defectuosa,
no conforme, difetto, difettoso, difettosa, non conformi, scarto, ruim, defeito, defeituoso, nao conforme,
slecht, fout, afkeur, zly, zla, wadliwy, hatali, kusurlu, брак, дефект,
不良, 不良品, 不合格, 不合格品, 次品, 缺陷, 불량, 불량품,
불합격
"""
# Plain only where a column says them of a part: as the name of a class, `0` or `none` may mean anything.
_GOOD_IN_TABLE = "0, false, negative, neg, none"
_DEFECTIVE_IN_TABLE = "1, true, positive, pos"
_SILENT = "nan, null, na, n/a, unlabelled, unlabeled, unlabel, unknown, ?, todo"


def plain(word: str) -> str:
    """A word as it is compared: small letters without accents, dots and hyphens; `N.i.O.` is `nio`."""
    text = unicodedata.normalize("NFKD", word.casefold())
    text = "".join(letter for letter in text if not unicodedata.combining(letter)).replace(".", "")
    return unicodedata.normalize("NFC", " ".join(re.sub(r"[\s_\-]+", " ", text).split()))


def _terms(text: str) -> frozenset[str]:
    return frozenset(plain(word) for word in text.split(","))


GOOD, DEFECTIVE, SILENT = _terms(_GOOD), _terms(_DEFECTIVE), _terms(_SILENT)
GOOD_IN_TABLE, DEFECTIVE_IN_TABLE = _terms(_GOOD_IN_TABLE), _terms(_DEFECTIVE_IN_TABLE)
_FOLDERS = {
    "pictures that an inspection made": """overlay, overlays, heatmap, heatmaps, heat map, heat maps, result,
    results, prediction, predictions, predicted, output, outputs, explanation, explanations, debug, visualization,
    visualizations, visualisation, ergebnis, ergebnisse""",
    "a copy": """backup, backups, bak, copy, copies, old, archive, archiv, trash, deleted, tmp, temp, kopie, kopien,
    papierkorb""",
    "pictures that nobody has labelled": """unlabelled, unlabeled, unlabel, no label, not labelled, unknown,
    unsorted, to sort, to label, todo, new, neu, inbox, incoming, raw, review, doubtful, unsure, uncertain, unclear,
    maybe, unklar, unsortiert""",
    "a part of a split": "train, training, val, valid, validation, test, testing",
    "labels, not pictures": "labels, annotations",
}
FOLDERS = {what: _terms(text) for what, text in _FOLDERS.items()}
MASK_FOLDERS = _terms("mask, masks, ground truth, groundtruth, gt, segmentation, segmentations, seg, masken, masques")
_COPY = re.compile(r"\b(copy|kopie|copie|copia|backup|bak)\b|(?<=.)( old| alt|~| ?\(\d+\))$")
EXAMPLES = "good, ok, normal, pass, gut or i.O."


def is_good(name: str) -> bool:
    """Whether the name of a folder, a class or a label means a good part."""
    return plain(name) in GOOD


def is_defective(name: str) -> bool:
    """Whether a name means a defective part without saying what is wrong with it."""
    return plain(name) in DEFECTIVE


def good_labels(labels: Iterable[str]) -> frozenset[str]:
    """Those of a table's labels, as `plain` gives them, that mean a good part.

    `0`, `false`, `negative` and `none` do where no label says it in words: beside `good`, nobody knows what they mean.
    """
    given = {plain(label) for label in labels}
    return frozenset(given & GOOD or given & GOOD_IN_TABLE)


def is_plain_defect(word: str) -> bool:
    """Whether a label, as `plain` gives it, says that a part is defective and names no type."""
    return word in DEFECTIVE or word in DEFECTIVE_IN_TABLE


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks."""
    return plain(name) in MASK_FOLDERS


def not_a_type(name: str) -> str | None:
    """What a folder of this name holds instead of a defect type; None where it may be one."""
    word = plain(name.replace(".", " "))
    if word.endswith(" defect"):
        return None
    given = next((what for what, terms in FOLDERS.items() if word in terms), None)
    return given or ("a copy" if _COPY.search(word) else None)
