"""XLIFF 1.2 and 2, read as a stream.

Inline elements become tags with their id; native code within them is not compared.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from translations.pair_files.entry import Entry, FileRefused, Told, language_tag
from translations.quality import Background, Pair
from translations.segments import guess_format

_SPANS = frozenset({"g", "pc"})
_POINTS = frozenset({"x", "bx", "ex", "bpt", "ept", "ph", "it", "sc", "ec"})
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# Said of a target that somebody has finished, even if it is empty.
_FINISHED = frozenset(
    {"translated", "final", "signed-off", "reviewed", "needs-review-translation"}
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of either version, the `number`-th of its file.

    `original` is the name of what its `<file>` was made from; the languages are those
    that the file says.
    """

    element: Element
    number: int
    original: str
    source_language: str
    target_language: str


def read(
    stream: BinaryIO, name: str, told: Told, skipped: Counter[str]
) -> Iterator[Entry]:
    """Units that are not to be translated, or not yet, are counted in `skipped`."""
    for unit in read_units(stream, name):
        yield from _entries(unit, told, skipped)


def read_units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """The units in order, each good until the next one is asked for.

    FileRefused where the file is no XLIFF, or only up to here.
    """
    origin = to = original = ""
    found_root = False
    open_elements: list[Element] = []
    number = 0
    try:
        for event, element in iterparse(stream, events=("start", "end")):
            kind = _name(element)
            if event == "start":
                open_elements.append(element)
                if not found_root and kind != "xliff":
                    raise FileRefused(f"{name} is no XLIFF: its root is <{kind}>.")
                found_root = True
                if kind in ("xliff", "file"):
                    origin = _of(element, "srcLang", "source-language") or origin
                    to = _of(element, "trgLang", "target-language") or to
                if kind == "file":
                    original = element.get("original", "")
                continue
            open_elements.pop()
            if kind in ("trans-unit", "unit"):
                number += 1
                yield Unit(element, number, original, origin, to)
                # What is read is let go of, so that a file of any size fits.
                element.clear()
                if open_elements:
                    open_elements[-1].remove(element)
    except ParseError as err:
        raise FileRefused(
            f"{name} is no well-formed XML ({err}); export it anew."
        ) from err
    except DefusedXmlException as err:
        raise FileRefused(
            f"{name} declares entities ({err}), which may hide an attack; export it "
            "without them."
        ) from err
    except (LookupError, ValueError) as err:
        raise FileRefused(
            f"{name} is in an encoding that cannot be read ({err}); export it in UTF-8."
        ) from err


def _entries(found: Unit, told: Told, skipped: Counter[str]) -> Iterator[Entry]:
    unit = found.element
    label = unit.get("id") or unit.get("resname") or str(found.number)
    place = f"unit {found.number}"
    languages = (
        told.source_language or found.source_language,
        told.target_language or found.target_language,
    )
    if unit.get("translate") == "no":
        skipped["not to be translated"] += 1
        return
    segments = [part for part in unit.iter() if _name(part) == "segment"]
    for index, part in enumerate(segments or [unit], start=1):
        source, target = _child(part, "source"), _child(part, "target")
        if source is None:
            yield Entry(label, place, problem="it has no <source>; export it anew")
            continue
        text = _text(source)
        translated = "" if target is None else _text(target)
        states = {part.get("state"), target.get("state") if target is not None else ""}
        is_finished = states & _FINISHED or unit.get("approved") == "yes"
        if not translated.strip() and text.strip() and not is_finished:
            skipped["not translated yet"] += 1
            continue
        full = f"{label}/{part.get('id') or index}" if len(segments) > 1 else label
        own = (
            source.get(_XML_LANG) or "",
            (target.get(_XML_LANG) or "") if target is not None else "",
        )
        try:
            origin, to = (
                language_tag(said or given, column)
                for said, given, column in zip(
                    languages, own, ("source language", "target language"), strict=True
                )
            )
        except ValueError as err:
            yield Entry(full, place, problem=str(err))
            continue
        is_markup = "<" in text and (text != _plain(source) or _is_html(text))
        yield Entry(
            full,
            place,
            Pair(
                text,
                translated,
                origin,
                to,
                "html" if is_markup else "text",
                background=Background(
                    told_apart=told.told_apart, max_length=_max_length(unit)
                ),
            ),
        )


def _max_length(unit: Element) -> int | None:
    """`maxwidth` of XLIFF 1.2, where it counts characters."""
    given = unit.get("maxwidth", "")
    if unit.get("size-unit") not in ("char", None) or not given.isdecimal():
        return None
    return int(given) if unit.get("size-unit") == "char" else None


def _is_html(text: str) -> bool:
    return guess_format(text) == "html"


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _of(element: Element, *names: str) -> str:
    return next((element.get(name, "") for name in names if element.get(name)), "")


def _child(element: Element, name: str) -> Element | None:
    """Of the element itself: `<alt-trans>` has sources and targets of its own."""
    return next((child for child in element if _name(child) == name), None)


def _text(element: Element) -> str:
    """The text, with inline elements as tags."""
    out = [element.text or ""]
    for child in element:
        kind = _name(child)
        mark = child.get("id") or child.get("rid") or child.get("startRef") or ""
        if kind in _SPANS:
            out.append(f'<{kind} id="{mark}">{_text(child)}</{kind}>')
        elif kind in _POINTS:
            out.append(f'<{kind} id="{mark}"/>')
        elif kind != "cp":  # a character that XML cannot hold
            out.append(_text(child))
        out.append(child.tail or "")
    return "".join(out)


def _plain(element: Element) -> str:
    return "".join(element.itertext())
