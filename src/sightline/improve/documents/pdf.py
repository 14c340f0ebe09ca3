"""A document as PDF, by reportlab: A4, fonts embedded, page numbers, the record's hash on every page."""

from __future__ import annotations

import io
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from sightline.core.errors import MissingExtraError
from sightline.improve.documents.document import WIDTH, Block, Chart, Document, Photo, draw

COLOURS = {"axis": "#8a95a3", "limit": "#b3541e", "interval": "#6a93c9", "value": "#10335f"}
THICK = {"axis": 0.6, "limit": 0.8, "interval": 6.0, "value": 2.0}
TONES = {None: ("#e7ebf0", "#1b2430"), True: ("#d9f2e1", "#0b5d2a"), False: ("#fbe0dd", "#8e1b12")}
FONTS = (("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"), ("Vera.ttf", "VeraBd.ttf"))  # the latter comes with reportlab
PAGE = 481.9  # points between the margins of A4


def write_pdf(document: Document) -> bytes:
    """The document as a PDF file. Letters beyond Western European ones need the font DejaVu Sans on this machine.

    Raises MissingExtraError without reportlab.
    """
    try:
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.units import mm
        from reportlab.platypus import SimpleDocTemplate, Spacer
    except ModuleNotFoundError as error:
        raise MissingExtraError("reportlab", "studies") from error
    styles = _styles()
    story: list[Any] = [_text(document.title, styles["title"]), _answer(document, styles)]
    story.append(_text(document.sentence, styles["body"]))
    for section in document.sections:
        story.append(_text(section.title, styles["heading"]))
        for block in section.blocks:
            story += [_block(block, styles), Spacer(1, 4)]
    target = io.BytesIO()
    made = SimpleDocTemplate(
        target, pagesize=A4, leftMargin=20 * mm, rightMargin=20 * mm, topMargin=18 * mm, bottomMargin=20 * mm,
        title=document.title, author="Sightline", invariant=1,
    )  # fmt: skip

    def foot(canvas: Any, template: Any) -> None:
        canvas.setFont(_fonts()[0], 7)
        canvas.setFillColorRGB(0.35, 0.4, 0.46)
        canvas.drawString(20 * mm, 11 * mm, document.footer)
        canvas.drawRightString(A4[0] - 20 * mm, 11 * mm, str(template.page))

    made.build(story, onFirstPage=foot, onLaterPages=foot)
    return target.getvalue()


@cache
def _fonts() -> tuple[str, str]:
    """Names of the plain and the bold font, embedded."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    for plain, bold in FONTS:
        try:
            for name, file in (("Report", plain), ("ReportBold", bold)):
                pdfmetrics.registerFont(TTFont(name, file))
        except TTFError:
            continue
        return "Report", "ReportBold"
    return "Helvetica", "Helvetica-Bold"


@cache
def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    plain, bold = _fonts()
    body = ParagraphStyle("body", fontName=plain, fontSize=9.5, leading=13, spaceAfter=4, wordWrap="LTR")
    return {
        "body": body,
        "title": ParagraphStyle("title", body, fontName=bold, fontSize=17, leading=21, spaceAfter=6),
        "heading": ParagraphStyle(
            "heading", body, fontName=bold, fontSize=11.5, leading=15, spaceBefore=9, keepWithNext=1
        ),
        "cell": ParagraphStyle("cell", body, fontSize=8, leading=10, spaceAfter=0, splitLongWords=1),
        "head": ParagraphStyle("head", body, fontName=bold, fontSize=8, leading=10, spaceAfter=0),
        "caption": ParagraphStyle("caption", body, fontSize=8, leading=10, keepWithNext=1),
    }


def _text(text: str, style: Any) -> Any:
    from reportlab.platypus import Paragraph

    return Paragraph(escape(text), style)


def _answer(document: Document, styles: dict[str, Any]) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Table

    back, fore = TONES[document.good]
    table = Table([[_text(document.answer, styles["head"])]], colWidths=[PAGE], spaceAfter=6)
    table.setStyle(
        [("BACKGROUND", (0, 0), (-1, -1), HexColor(back)), ("LINEBEFORE", (0, 0), (0, -1), 4, HexColor(fore))]
    )
    return table


def _block(block: Block, styles: dict[str, Any]) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Image, KeepTogether, Table

    if isinstance(block, str):
        return _text(block, styles["body"])
    if isinstance(block, Chart):
        return KeepTogether([_text(block.title, styles["caption"]), _chart(block)])
    if isinstance(block, Photo):
        picture = Image(io.BytesIO(block.data), kind="proportional", width=PAGE / 2, height=PAGE / 2)
        picture.hAlign = "LEFT"
        return KeepTogether([picture, _text(block.caption, styles["caption"])])
    shares = block.wide or (1.0,) * len(block.headings)
    widths = [PAGE * share / sum(shares) for share in shares]
    cells = [[_text(one, styles["head"]) for one in block.headings]]
    cells += [[_text(one, styles["cell"]) for one in row] for row in block.rows]
    table = Table(cells, colWidths=widths, repeatRows=1)
    line = HexColor("#c8d0da")
    table.setStyle([("LINEBELOW", (0, 0), (-1, -1), 0.5, line), ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("TOPPADDING", (0, 0), (-1, -1), 2.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                    ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3)])  # fmt: skip
    return table


def _chart(chart: Chart) -> Any:
    """reportlab counts from the bottom."""
    from reportlab.graphics.shapes import Drawing, Line, String
    from reportlab.lib.colors import HexColor

    height, strokes, words = draw(chart)
    made = Drawing(WIDTH, height)
    for one in strokes:
        dash = [3, 2] if one.kind == "limit" else None
        made.add(
            Line(
                one.x1, height - one.y1, one.x2, height - one.y2,
                strokeColor=HexColor(COLOURS[one.kind]), strokeWidth=THICK[one.kind], strokeDashArray=dash,
            )
        )  # fmt: skip
    for word in words:
        made.add(String(word.x, height - word.y, word.text, fontName=_fonts()[0], fontSize=6.5, textAnchor=word.anchor))
    return made
