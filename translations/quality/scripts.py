"""The script of a translation: that of its language, and not the source's."""

from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, letters
from translations.scripts import count_in, letters_in, scripts_of

_FEWEST_LETTERS = 4
_WRONG_BELOW, _MIXED_BELOW = 0.5, 0.8


def scripts(pair: Pair) -> Iterator[Finding]:
    """wrong_script under 50 % of letters in the target's script, mixed_script to 80 %.

    Latin names that the source has as well do not count, as long as something else is
    there to be judged.
    """
    text = pair.target_prose
    total = pair.target_letters
    if total < _FEWEST_LETTERS:
        return
    wanted = letters_in(scripts_of(pair.target_language))
    right = count_in(wanted, text)
    if right >= _MIXED_BELOW * total:
        return
    if right >= _FEWEST_LETTERS:
        text = pair.target_without_names
        total, right = letters(text), count_in(wanted, text)
    share = right / total if total else 1.0
    if share >= _MIXED_BELOW:
        return
    is_wrong = share < _WRONG_BELOW
    yield Finding(
        "wrong_script" if is_wrong else "mixed_script",
        gettext_noop(
            "Only %(share)s of 100 letters are in the script of the language."
        ),
        {"share": str(int(share * 100))},
    )
