"""`manage.py explain run|job|item ID`: what happened, and what comes next."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from batches.management.output import told_to_the_operator
from batches.monitoring.explain import Explanation, explain


class Command(BaseCommand):
    help = "Say what happened to a run, a job or an item, and what comes next."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=("run", "job", "item"))
        parser.add_argument("id", help="its number; for a run or a job also its UUID")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, kind: str, id: str, **options: Any) -> None:
        with told_to_the_operator():
            explanation = explain(kind, id)
        if options["json"]:
            self.stdout.write(json.dumps(explanation.as_dict(), ensure_ascii=False))
        else:
            self._write(explanation)

    def _write(self, explanation: Explanation) -> None:
        self.stdout.write(explanation.title)
        self.stdout.write(explanation.verdict)
        width = max(len(name) for name in explanation.facts)
        for name, value in explanation.facts.items():
            self.stdout.write(f"  {name:<{width}}  {value}")
        self.stdout.write("History:")
        for at, what in explanation.history:
            self.stdout.write(f"  {at:%Y-%m-%d %H:%M:%S}  {what}")
        if explanation.result:
            self.stdout.write("Result:")
            for line in explanation.result:
                self.stdout.write(f"  {line}")
        self.stdout.write(f"Next: {explanation.next_step}")
