"""Pieces of a page: escaped text, tables, folds, and the one template that all pages share."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from gansmith.core.streams import clean

THIN = "\u202f"  # A narrow space that does not break: 12 000, 64 px.

_OPTION, _WHOLE = re.compile(r"(--\w[\w-]*)"), r'<span class="whole">\1</span>'  # Browsers break at hyphens.
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def plain(value: object) -> str:
    """Anything as text that can be written anywhere, on a terminal, too.

    Controls, marks that turn the direction of writing, and bytes of file names that are not UTF-8 become
    backslash escapes.
    """
    return clean(str(value))


def text(value: object) -> str:
    """``plain`` as words that are safe in HTML, attributes included."""
    return escape(plain(value), quote=True)


def count(value: float) -> str:
    """A whole number with its thousands apart: ``12 000``."""
    return f"{value:,.0f}".replace(",", THIN)


def short(value: float) -> str:
    """A measured number with four figures: ``0.4257``, ``12 350``, ``1.20e-5``."""
    if math.isnan(value):
        return "not a number"
    size = abs(value)
    if size != 0 and not 1e-3 <= size < 1e7:
        return re.sub(r"e([+-])0", r"e\1", f"{value:.2e}")
    rounded = float(f"{value:.4g}")
    if size >= 1000:
        return count(rounded)
    return f"{rounded:g}"


def share(value: float) -> str:
    """A part of one as per cent: ``90.6 %``."""
    return f"{100 * value:.1f}{THIN}%" if math.isfinite(value) else short(value)


def duration(seconds: float) -> str:
    """``9 s``, ``10 min 8 s``, ``3 h 20 min``, ``2 days 3 h``."""
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}{THIN}{'day' if days == 1 else 'days'} {hours}{THIN}h"
    if hours:
        return f"{hours}{THIN}h {minutes}{THIN}min"
    return f"{minutes}{THIN}min {whole % 60}{THIN}s" if minutes else f"{whole}{THIN}s"


def plural(number: int, thing: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


# ---- blocks ---------------------------------------------------------------------------------------------


def section(name: str, title: str, *blocks: str) -> str:
    """A part of the page that the list at its top leads to; nothing where all blocks are empty."""
    inside = "\n".join(block for block in blocks if block)
    return f'<section id="{name}">\n<h2>{text(title)}</h2>\n{inside}\n</section>' if inside else ""


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    shown = f' class="{kind}"' if kind else ""
    return f"<p{shown}>{text(words)}</p>" if words else ""


def pairs(facts: Mapping[str, object], kind: str = "facts") -> str:
    """Names and values, one below the other; ``kind`` is a class of the style sheet."""
    rows = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="{kind}">{rows}</dl>' if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> str:
    """A table whose first column names its rows; wide ones scroll by themselves."""
    top = "".join(f'<th scope="col">{text(word)}</th>' for word in head)
    body = ""
    for first, *cells in rows:
        others = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        body += f'<tr><th scope="row">{text(first)}</th>{others}</tr>\n'
    title = f"<caption>{text(caption)}</caption>"
    inside = f"<table>{title}<thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">{inside}</div>'


def fold(title: str, inside: str) -> str:
    """Something that opens on demand, and when the page is printed."""
    return f"<details><summary>{text(title)}</summary>\n{inside}\n</details>" if inside else ""


def notes(sentences: Iterable[str], label: str = "To know first") -> str:
    """What the reader must know before looking; nothing where there is nothing."""
    items = "".join(f"<li>{_OPTION.sub(_WHOLE, text(sentence))}</li>" for sentence in sentences)
    return f'<ul class="notes" role="note" aria-label="{text(label)}">{items}</ul>' if items else ""


# ---- the page -------------------------------------------------------------------------------------------


def page(title: str, head: str, body: Sequence[str], data: Mapping[str, Any]) -> str:
    """The template filled: one file that asks for no other.

    Args:
        title: plain text.
        head: what stands below the title, HTML that is already safe.
        body: sections, HTML that is already safe; empty ones are left out.
        data: what the script draws.
    """
    from gansmith import __version__

    template = (files(__package__) / "template.html").read_text(encoding="utf-8")
    body = [part for part in body if part]
    slots = {
        "title": text(title),
        "version": text(__version__),
        "policy": _policy(template),
        "head": head,
        "parts": _parts(body),
        "body": "\n".join(body),
        "data": _in_script(data),
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], template)


def _policy(template: str) -> str:
    """What the browser may load and run: images in the page, and our own script and style by their hash."""

    def digest(tag: str) -> str:
        found = re.search(rf"<{tag}>(.*?)</{tag}>", template, flags=re.DOTALL)
        assert found is not None
        return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest('style')}'; "
        f"script-src 'sha256-{digest('script')}'; base-uri 'none'; form-action 'none'"
    )


def _parts(body: Sequence[str]) -> str:
    found = [re.match(r'<section id="(\w+)">\n<h2[^>]*>(.*?)</h2>', part) for part in body]
    links = "".join(f'<li><a href="#{part[1]}">{part[2]}</a></li>' for part in found if part)
    return f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>' if links else ""


def _in_script(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    told = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII, so U+2028 is escaped, too.
    return told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
