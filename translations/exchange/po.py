"""PO catalogues: a message for each segment, whose context is its name."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import polib

from translations.exchange.entries import Entry, joined_name, split_name
from translations.importing import BadRow, ImportRefused
from translations.pair_files.entry import FileRefused
from translations.pair_files.po import read_catalogue


def write_po(entries: Iterable[Entry], language: str) -> Iterator[str]:
    head = polib.POFile()
    head.metadata = {
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Language": language,
    }
    yield f"{head}\n"
    for entry in entries:
        message = polib.POEntry(
            msgctxt=joined_name(entry.kind, entry.id, entry.field, entry.segment),
            msgid=entry.source,
            msgstr=entry.target,
            comment=f"{entry.source_language} > {entry.language}: {entry.state}",
            flags=["fuzzy"] if entry.target and entry.state == "stale" else [],
        )
        yield f"{message}\n"


def read_po(stream: BinaryIO, name: str) -> Iterator[Entry | BadRow]:
    """Messages that are fuzzy, or have no translation, come with an empty target."""
    try:
        catalogue = read_catalogue(stream, name)
    except FileRefused as err:
        raise ImportRefused(f"{err} Nothing was imported.") from err
    language = catalogue.metadata.get("Language", "").strip().replace("_", "-")
    if not language:
        raise ImportRefused(
            f"{name} does not say its language: its header needs a line “Language: ar”."
            " Nothing was imported."
        )
    for message in catalogue:
        if message.obsolete:
            continue
        parts = split_name(message.msgctxt or "", 4)
        if parts is None:
            yield BadRow(
                message.linenum,
                "msgctxt",
                f"“{(message.msgctxt or '')[:60]}”",
                "It is not the name of an exported text; leave msgctxt as it was.",
            )
            continue
        kind, id_, field, segment = parts
        yield Entry(
            kind=kind,
            id=id_,
            field=field,
            segment=segment,
            language=language,
            source_language="",
            source=message.msgid,
            target="" if message.fuzzy else message.msgstr,
            line=message.linenum,
        )
