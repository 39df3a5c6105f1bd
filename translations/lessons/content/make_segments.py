"""Makes the segment samples of the sandbox from the reference translations.

    python -m translations.lessons.content.make_segments

Cuts each reference and its source alike and pairs the segments, in the form in which a
model is asked for them. The faults of `planted_faults.json` go into the samples only:
they show a newcomer what the checks hold back. Fails where the two sides do not have
the same segments, or where one text would need two answers.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from translations.segments import segments_of, split_text

CONTENT = Path(__file__).resolve().parent
SAMPLES = CONTENT.parent / "samples"

Row = dict[str, Any]


def main() -> None:
    references = read_jsonl(CONTENT / "references.jsonl")
    faults = json.loads((SAMPLES / "planted_faults.json").read_text("utf-8"))
    files = sample_files(references, faults)
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (SAMPLES / name).write_text("".join(lines), "utf-8")
    count = sum(map(len, files.values()))
    sys.stdout.write(
        f"Wrote {count} segments of {len(references)} texts, {len(faults)} with a "
        f"fault, to {', '.join(files)}.\n"
    )


def read_jsonl(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def sample_files(
    references: Iterable[Row], faults: Iterable[Row]
) -> dict[str, list[Row]]:
    """{file name: rows}; a row has source_language, target_language, source, target.

    ValueError names the text in which something does not fit.
    """
    waiting = {_key(fault): fault for fault in faults}
    answers: dict[tuple[str, str, str], tuple[str, str]] = {}  # (answer, unit)
    for reference in references:
        unit = f"{reference['object_id']} {reference['field']}"
        for source, target in segment_pairs(reference):
            if fault := waiting.pop((unit, reference["target_language"], source), None):
                if target.count(fault["right"]) != 1:
                    raise ValueError(f"{unit}: {fault['right']!r} is not there once.")
                target = target.replace(fault["right"], fault["wrong"])
            key = (reference["source_language"], reference["target_language"], source)
            known, other = answers.setdefault(key, (target, unit))
            if known != target:
                raise ValueError(
                    f"{source!r} is {known!r} in {other} and {target!r} in {unit}; the "
                    "sandbox can give one answer only."
                )
    if waiting:
        raise ValueError(f"No segment for the planted faults {sorted(waiting)}.")
    files: dict[str, list[Row]] = {}
    for (source_language, target_language, source), (target, _) in answers.items():
        files.setdefault(f"{source_language}-{target_language}.jsonl", []).append(
            {
                "source_language": source_language,
                "target_language": target_language,
                "source": source,
                "target": target,
            }
        )
    return files


def segment_pairs(reference: Row) -> Iterator[tuple[str, str]]:
    """(source, target) of a reference's segments, as a model sees and answers them."""
    source, target = (
        segments_of(split_text(reference[side], reference["format"]))
        for side in ("source", "target")
    )
    if [s.tags for s in source] != [s.tags for s in target]:
        raise ValueError(
            f"{reference['object_id']} {reference['field']} in "
            f"{reference['target_language']}: {len(source)} segments in the source, "
            f"{len(target)} in the translation, or tags that differ."
        )
    for before, after in zip(source, target, strict=True):
        yield before.text, after.text


def _key(fault: Row) -> tuple[str, str, str]:
    unit = f"{fault['object_id']} {fault['field']}"
    return unit, fault["target_language"], fault["source"]


if __name__ == "__main__":
    main()
