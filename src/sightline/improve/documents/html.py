"""A document as one HTML file without anything from elsewhere."""

from __future__ import annotations

import base64
from html import escape

from sightline.improve.documents.document import WIDTH, Block, Chart, Document, Photo, Rows, draw

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b2430}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}table{border-collapse:collapse;width:100%}
th,td{border-bottom:1px solid #d5dbe3;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
.answer{display:inline-block;margin:.6rem 0;padding:.2rem .8rem;border-radius:.3rem;font-weight:700}
.answer{background:#e7ebf0}
.good{background:#d9f2e1;color:#0b5d2a}.bad{background:#fbe0dd;color:#8e1b12}
footer{margin-top:2rem;color:#5a6675;font-size:.85rem}
svg{width:100%;height:auto}svg text{font:9px sans-serif;fill:#1b2430}
.axis{stroke:#8a95a3}.limit{stroke:#b3541e;stroke-dasharray:3 2}
.interval{stroke:#6a93c9;stroke-width:7}.value{stroke:#10335f;stroke-width:3}
figure{margin:.5rem 0}img{max-width:100%}"""


def write_html(document: Document) -> str:
    """The document as HTML."""
    tone = "" if document.good is None else "good" if document.good else "bad"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(document.title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(document.title)}</h1>",
        f'<p class="answer {tone}">{escape(document.answer)}</p><p>{escape(document.sentence)}</p>',
    ]
    for section in document.sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        parts += [_block(block) for block in section.blocks]
    parts.append(f"<footer>{escape(document.footer)}</footer></body></html>")
    return "\n".join(parts)


def _block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Rows):
        head = "".join(f"<th>{escape(one)}</th>" for one in block.headings)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in block.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    if isinstance(block, Photo):
        kind = "png" if block.data.startswith(b"\x89PNG") else "jpeg"
        data = base64.b64encode(block.data).decode()
        caption = escape(block.caption)
        image = f'<img alt="{caption}" src="data:image/{kind};base64,{data}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
    return _chart(block)


def _chart(chart: Chart) -> str:
    height, strokes, words = draw(chart)
    lines = "".join(
        f'<line class="{one.kind}" x1="{one.x1:.1f}" y1="{one.y1:.1f}" x2="{one.x2:.1f}" y2="{one.y2:.1f}"/>'
        for one in strokes
    )
    texts = "".join(
        f'<text x="{one.x:.1f}" y="{one.y:.1f}" text-anchor="{one.anchor}">{escape(one.text)}</text>' for one in words
    )
    title = escape(chart.title)
    return (
        f'<figure><figcaption>{title}</figcaption><svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        f'aria-label="{title}">{lines}{texts}</svg></figure>'
    )
