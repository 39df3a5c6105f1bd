"""The names of what is asked of a row: a field in a language, or a part of it."""

from translations.models import place


def target_key(
    field: str, language: str, number: int, total: int, path: str = ""
) -> str:
    """`field:lang`, of several parts `field:lang#2`, of a part's half `field:lang#2.1`.

    Half of a text that is one part is `field:lang#1.1`.
    """
    mark = f"#{place(number, path)}" if total > 1 or path else ""
    return f"{field}:{language}{mark}"


def split_target(target: str) -> tuple[str, str, str]:
    """A target as (field, language, place); the place of a whole text is blank."""
    field, _, rest = target.partition(":")
    language, _, where = rest.partition("#")
    return field, language, where


def wholes_of(target: str) -> list[str]:
    """The targets that a half is part of: for `field:lang#2.12` those of 2 and 2.1.

    Half of a first part may be of a text that is one part, or of one that is several.
    """
    part, _, path = target.partition(".")
    if not path:
        return []
    halves = [f"{part}.{path[:digits]}" for digits in range(1, len(path))]
    return [part, part.removesuffix("#1"), *halves]
