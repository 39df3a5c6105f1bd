"""`manage.py filter_words`: what a preset keeps of a list; nothing is written."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from batches.management.output import positive_whole, told_to_the_operator
from translations.dictionary.filtering import Filtered, filter_words
from translations.dictionary.presets import ALIASES, NAMES, get_preset
from translations.dictionary.reading import open_source

SHOWN = 20
STEPS = {
    "valid": "can be words",
    "unique": "different ones",
    "stop_words": "without stop words",
    "folded": "headwords, forms folded into them",
    "common_enough": "common enough",
    "kept": "kept",
}


def add_filter_arguments(parser: CommandParser) -> None:
    """What all commands that filter words take."""
    parser.add_argument(
        "--filter-preset",
        default="moderate",
        metavar="NAME",
        help=f"one of {', '.join((*NAMES, *ALIASES))}; default moderate",
    )
    parser.add_argument(
        "--words-file",
        default="",
        metavar="FILE",
        help="CSV with a column word, a list or a text; default the bundled list",
    )
    parser.add_argument(
        "--language", default="en", help="language of the words; default en"
    )
    parser.add_argument(
        "--keep-stop-words", action="store_true", help="keep the 421 stop words"
    )


def filtered_with_bar(options: dict[str, Any], limit: int | None = None) -> Filtered:
    """Read and filter as the options say, with a bar on a terminal."""
    preset = get_preset(options["filter_preset"])
    language = options["language"]
    source = open_source(options["words_file"], language=language, limit=limit)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("words", total=None)
        return filter_words(
            source.words,
            preset,
            language=language,
            counts_matter=source.counts_matter,
            keep_stop_words=options["keep_stop_words"],
            on_words=lambda count: bar.advance(task, count),
        )


class Command(BaseCommand):
    help = "Show what a preset keeps of a list of words; changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        add_filter_arguments(parser)
        parser.add_argument(
            "--limit", type=positive_whole, help="words of the list to look at"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, limit: int | None, json: bool, **options: Any) -> None:
        with told_to_the_operator():
            found = filtered_with_bar(options, limit)
        if found.message:
            self.stderr.write(found.message)
        self.stdout.write(_as_json(found) if json else self._table(found))

    def _table(self, found: Filtered) -> str:
        table = Table(title=f"Preset {found.preset.name}", title_justify="left")
        table.add_column("step")
        table.add_column("words", justify="right")
        table.add_row("raw", f"{found.raw:,}")
        for step in found.steps:
            table.add_row(STEPS[step.name], f"{step.left:,}")
        console = Console(width=72)
        with console.capture() as captured:
            console.print(table)
        lines = [
            captured.get().rstrip(),
            f"Normalising and folding take away {found.reduction:.1%}; in all "
            f"{found.retention:.1%} are kept.",
            f"Least zipf: {found.min_zipf:g}"
            + (
                f", raised from {found.preset.min_zipf:g} to keep to the target."
                if found.min_zipf > found.preset.min_zipf
                else "."
            ),
        ]
        if found.kept:
            shown = ", ".join(head.text for head in found.kept[:SHOWN])
            more = ", …" if len(found.kept) > SHOWN else ""
            lines.append(f"Kept: {shown}{more}")
        return "\n".join(lines)


def _as_json(found: Filtered) -> str:
    return json.dumps(found.to_json(), ensure_ascii=False)
