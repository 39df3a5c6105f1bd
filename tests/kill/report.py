"""What a campaign showed, for a terminal and as a page of the documentation."""

import os
import platform
import re
import subprocess
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version

from tests.kill.campaign import Campaign, Round
from tests.processes import ROOT

# What every campaign must have died at, whatever the services' functions are called.
REQUIRED = {
    "a commit of each stage": [
        rf"commit:(.*>)?{stage}\."
        for stage in (
            "collection",
            "bundling",
            "submission",
            "polling",
            "ingestion",
            "settlement",
            "reconciliation",
        )
    ],
    "each call, before it and after": [
        rf"call:{call} of .*:{moment}"
        for call in (
            "POST /files",
            "POST /batches",
            "GET /batches",
            "GET /batches/{batch}",
            "GET /files/{file}",
            "GET /files/{file}/content",
            "DELETE /files/{file}",
        )
        for moment in ("before", "after")
    ],
    "chunks, up and down": [
        rf"chunk:{call} of .*:{place}"
        for call in ("POST /files", "GET /files/{file}/content")
        for place in ("first", "later", "whole")
    ],
}
SHOWN_DEATHS = 3


class Report:
    """The verdict of a campaign, and what it rests on."""

    def __init__(self, campaign: Campaign, database: str) -> None:
        self.campaign = campaign
        self.database = database
        self.began = datetime.now(UTC)

    @property
    def mismatches(self) -> list[str]:
        return [
            f"round {this.number} ({this.kind}): {wrong}"
            for this in self.campaign.rounds
            for wrong in this.mismatches
        ]

    @property
    def required_missing(self) -> list[str]:
        """Patterns of boundaries that must be, and where no worker died."""
        return [
            pattern
            for patterns in REQUIRED.values()
            for pattern in patterns
            if not any(re.match(pattern, name) for name in self.campaign.killed)
        ]

    @property
    def is_well(self) -> bool:
        return not (self.mismatches or self.required_missing or self.campaign.never_hit)

    def line(self, this: Round) -> str:
        """One round, for the terminal."""
        last = ", ".join(this.deaths[-SHOWN_DEATHS:])
        found = "".join(f"\n    {wrong}" for wrong in this.mismatches)
        return (
            f"round {this.number:3} {this.kind:11} {this.seconds:5.1f} s, "
            f"{len(this.deaths)} deaths{f' (… {last})' if last else ''}{found}"
        )

    def verdict(self) -> str:
        rounds = self.campaign.rounds
        deaths = sum(len(this.deaths) for this in rounds)
        lines = [
            f"{len(rounds) - 1} rounds on {self.database}, {deaths} workers killed, "
            f"{len(self.campaign.reached)} boundaries, "
            f"{len(self.mismatches)} mismatches."
        ]
        lines += [f"Never died at: {name}" for name in self.campaign.never_hit]
        lines += [f"Not there at all: {name}" for name in self.required_missing]
        lines += self.mismatches
        return "\n".join(lines)

    def markdown(self) -> str:
        campaign = self.campaign
        kinds = Counter(this.kind for this in campaign.rounds)
        deaths: Counter[str] = Counter()
        seconds: Counter[str] = Counter()
        for this in campaign.rounds:
            deaths[this.kind] += len(this.deaths)
            seconds[this.kind] += round(this.seconds)
        left = max(this.files_left for this in campaign.rounds)
        return "\n".join(
            [
                f"## {self.database}, {self.began:%Y-%m-%d}",
                "",
                self.verdict(),
                "",
                "| | |",
                "|---|---|",
                f"| Commit | {_commit()} |",
                f"| Seed | {campaign.seed} |",
                f"| Machine | {_machine()} |",
                f"| Most files left at the provider in a round | {left} |",
                "",
                "| Rounds | How many | Workers killed | Seconds |",
                "|---|--:|--:|--:|",
                *(
                    f"| {kind} | {kinds[kind]} | {deaths[kind]} | {seconds[kind]} |"
                    for kind in kinds
                ),
                "",
                "| Boundary | Reached | Died at |",
                "|---|--:|--:|",
                *(
                    f"| `{name}` | {campaign.reached[name]} | {campaign.killed[name]} |"
                    for name in sorted(campaign.reached)
                ),
                "",
            ]
        )


def _commit() -> str:
    """The commit that was tested, and whether the files differ from it."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True)
    changed = subprocess.check_output([*git, "status", "--porcelain"], text=True)
    return name.strip() + (" with changes" if changed else "")


def _machine() -> str:
    return (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, Django {version('django')}, "
        f"openai {version('openai')}"
    )
