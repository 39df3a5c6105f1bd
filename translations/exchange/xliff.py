"""XLIFF 2.0 (OASIS, 2014): a file for each text, a unit for each of its segments.

Inline marks stand in the text as they are sent to a model, `<a id="a1">`, escaped.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import BinaryIO
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from translations.exchange.entries import Entry, joined_name, split_name
from translations.exchange.exporting import ExportRefused
from translations.importing import BadRow, ImportRefused
from translations.pair_files.entry import FileRefused
from translations.pair_files.xliff import read_units

NAMESPACE = "urn:oasis:names:tc:xliff:document:2.0"
_NS = f"{{{NAMESPACE}}}"
# 2.0's word for each of our states.
_STATE = {"published": "final", "waiting": "translated", "stale": "initial"}
_NOT_OF_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def write_xliff(entries: Iterable[Entry], language: str) -> Iterator[str]:
    """ExportRefused where the content is in several languages: a file has one."""
    source_language = ""
    files = groupby(entries, key=lambda e: joined_name(e.kind, e.id, e.field))
    for number, (name, units) in enumerate(files, start=1):
        some = list(units)
        if not source_language:
            source_language = some[0].source_language
            yield _head(source_language, language)
        elif some[0].source_language != source_language:
            raise ExportRefused(
                "This content is in several languages, and an XLIFF file has one: "
                "export it group by group, or as CSV."
            )
        # Names have signs that an id may not have.
        yield f'<file id="f{number}" original={quoteattr(name)}>\n'
        yield from map(_unit, some)
        yield "</file>\n"
    if not source_language:
        raise ExportRefused("There is nothing to translate into this language.")
    yield "</xliff>\n"


def _head(source_language: str, language: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<xliff xmlns="{NAMESPACE}" version="2.0" '
        f"srcLang={quoteattr(source_language)} trgLang={quoteattr(language)}>\n"
    )


def _unit(entry: Entry) -> str:
    state = _STATE.get(entry.state, "initial")
    target = f"<target>{_text(entry.target)}</target>" if entry.target else ""
    return (
        f'<unit id={quoteattr(entry.segment)} xml:space="preserve">'
        f'<segment state="{state}"><source>{_text(entry.source)}</source>{target}'
        "</segment></unit>\n"
    )


def _text(text: str) -> str:
    """Escaped; characters that XML has no form for as the standard's `<cp>`."""
    marked = _NOT_OF_XML.sub(lambda m: f'<cp hex="{ord(m[0]):04X}"/>', escape(text))
    return marked.replace("\r", "&#13;")


def read_xliff(stream: BinaryIO, name: str) -> Iterator[Entry | BadRow]:
    """Units whose segments are not all translated come with an empty target.

    `line` is the number of the unit, as XML is not read in lines.
    """
    try:
        for unit in read_units(stream, name):
            if unit.element.tag != f"{_NS}unit":
                raise ImportRefused(
                    f"{name} is no XLIFF 2 file: it has a {unit.element.tag!r}. Save "
                    "it as XLIFF 2.0 and import it again; nothing was imported."
                )
            parts = split_name(unit.original, 3)
            if parts is None:
                problem = "It names no exported text; leave it as it was."
                named = f"“{unit.original[:60]}”"
                yield BadRow(unit.number, "original", named, problem)
                continue
            yield _entry(unit.element, parts, unit.target_language, unit.number)
    except FileRefused as err:
        raise ImportRefused(f"{err} Nothing was imported.") from err


def _entry(
    unit: Element, parts: list[str], language: str, number: int
) -> Entry | BadRow:
    sources, targets = [], []
    is_done = True
    for segment in unit:
        if segment.tag not in (f"{_NS}segment", f"{_NS}ignorable"):
            continue
        source, target = segment.find(f"{_NS}source"), segment.find(f"{_NS}target")
        try:
            sources.append("" if source is None else _read(source))
            if target is not None:
                targets.append(_read(target))
            elif segment.tag == f"{_NS}ignorable":
                targets.append(sources[-1])
            else:
                is_done = False
        except ValueError as err:
            where = "/".join([*parts, unit.get("id", "")])
            return BadRow(number, "unit", f"“{where[:60]}”", str(err))
    kind, id_, field = parts
    return Entry(
        kind=kind,
        id=id_,
        field=field,
        segment=unit.get("id", ""),
        language=language,
        source_language="",
        source="".join(sources),
        target="".join(targets) if is_done else "",
        line=number,
    )


def _read(element: Element) -> str:
    """The text of a source or target; ValueError for marks that were not exported."""
    text = element.text or ""
    for child in element:
        if child.tag == f"{_NS}cp":
            try:
                text += chr(int(child.get("hex", ""), 16))
            except (ValueError, OverflowError) as err:
                raise ValueError("A <cp> in it names no character.") from err
        elif child.tag == f"{_NS}mrk":  # a note about the text, not of it
            text += _read(child)
        else:
            tag = child.tag.removeprefix(_NS)
            raise ValueError(
                f"It has an inline element <{tag}>, which the export had not; write "
                "marks as they stand in the source."
            )
        text += child.tail or ""
    return text
