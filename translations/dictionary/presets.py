"""How much of a list is worth an entry; measured in docs/dictionary.md."""

from dataclasses import dataclass
from typing import Literal

from batches.errors import BadOptions

Fold = Literal["plural", "verb", "deriv"]


@dataclass(frozen=True, slots=True)
class Preset:
    """`target` is the share of a list's words that it is to keep."""

    name: str
    fold: Fold
    min_zipf: float
    min_count: int  # occurrences in a text, where there are no frequencies
    keeps_function_words: bool
    min_letters: int
    target: float


# From the one that keeps most to the one that keeps least.
PRESETS = (
    Preset("conservative", "plural", 1.60, 2, True, 1, 0.20),
    Preset("moderate", "verb", 1.75, 3, True, 1, 0.15),
    Preset("aggressive", "deriv", 2.25, 5, False, 3, 0.10),
)
ALIASES = {"minimal": "conservative", "standard": "moderate"}
NAMES = tuple(preset.name for preset in PRESETS)


def get_preset(name: str) -> Preset:
    """BadOptions names the presets there are."""
    known = {preset.name: preset for preset in PRESETS}
    found = known.get(ALIASES.get(name, name))
    if found is None:
        raise BadOptions(
            f"There is no preset {name!r}; use one of {', '.join(NAMES)}, or by their "
            f"old names {', '.join(ALIASES)}."
        )
    return found
