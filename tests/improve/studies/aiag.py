"""The attribute study of the AIAG's MSA manual (4th edition, table III-C 1): 50 parts, three appraisers, three trials.

There, 1 is "acceptable"; here, 1 is NG. Only readings that differ from the reference are written down.
"""

from __future__ import annotations

import numpy as np

_SIZES = """476901 509015 576459 566152 570360 544951 465454 502295 437817 515573 488905 559918 542704 454518 517377
531939 519694 484167 520496 477236 452310 545604 529065 514192 599581 547204 502436 521642 523754 561457 503091 505850
487613 449696 498698 543077 409238 488184 427687 501132 513779 566575 462410 470832 412453 493441 486379 587893 483803
446697"""
SIZES = np.array([int(one) / 1e6 for one in _SIZES.split()])
REFERENCE = np.zeros(50, int)
REFERENCE[[number - 1 for number in (3, 4, 5, 9, 12, 22, 25, 26, 30, 34, 37, 39, 42, 45, 48, 50)]] = 1
# By part: the readings as printed, A1 A2 A3 B1 B2 B3 C1 C2 C3.
_PRINTED = {
    6: "110110100", 7: "111111101", 12: "000000010", 14: "110111100", 21: "110101010", 22: "001010110",
    26: "010000001", 30: "000001000", 34: "001001011", 36: "110111101", 43: "101111110",
}  # fmt: skip
_ALL = np.repeat(REFERENCE[:, None], 9, axis=1)
for _part, _printed in _PRINTED.items():
    _ALL[_part - 1] = [1 - int(one) for one in _printed]
READINGS = {name: _ALL[:, 3 * n : 3 * n + 3] for n, name in enumerate("ABC")}
