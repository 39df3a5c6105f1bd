"""Which wording a workload's requests carry: written, put into production, taken back.

The text that ships is version 1. As long as nobody edits or chooses, what ships with an
upgrade goes into production by itself; after that it comes as a candidate.
"""

from string import Template

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from batches.errors import BadPrompt, NotPossible
from batches.models import PromptVersion
from batches.models.prompt import digest_of
from batches.services.events import audit
from batches.workloads import Workload

MOST_CHARACTERS = 50_000
UPGRADE = "batchsite"  # who puts a shipped text into production


def current_prompt(workload: Workload) -> PromptVersion:
    """The version in production; what ships becomes a version where it is none yet."""
    shipped = digest_of(workload.prompt)
    looked_at = PromptVersion.objects.filter(
        Q(is_production=True) | Q(digest=shipped), workload=workload.key
    )
    found = {version.is_production: version for version in looked_at}
    production = found.get(True)
    if production and production.digest == shipped:
        return production
    if production and False in found and _is_edited(workload.key):
        return production
    return _take_in_shipped(workload)


def _is_edited(workload_key: str) -> bool:
    """Whether a person wrote a version, or chose which one is in production."""
    by_people = Q(origin=PromptVersion.Origin.PERSON) | ~Q(promoted_by="")
    return PromptVersion.objects.filter(by_people, workload=workload_key).exists()


@transaction.atomic
def _take_in_shipped(workload: Workload) -> PromptVersion:
    versions = _locked(workload.key)
    shipped, _ = PromptVersion.objects.get_or_create(
        workload=workload.key,
        digest=digest_of(workload.prompt),
        defaults={
            "number": _next_number(versions),
            "text": workload.prompt,
            "origin": PromptVersion.Origin.CODE,
        },
    )
    production = _production(versions)
    if production and _is_edited(workload.key):
        return production
    shipped.replaced = production
    _put_into_production(shipped, production, by="")
    if production:
        _audit("prompt.promote", shipped, production, by=UPGRADE)
    return shipped


def write_version(
    workload: Workload, text: str, *, note: str, by: str
) -> PromptVersion:
    """A new candidate. Raises BadPrompt, saying what is wrong with the text."""
    with transaction.atomic():
        check_text(workload, text)
        versions = _locked(workload.key)
        version = PromptVersion.objects.create(
            workload=workload.key,
            number=_next_number(versions),
            text=text,
            origin=PromptVersion.Origin.PERSON,
            note=note,
            written_by=by[:150],
        )
        audit("prompt.write", actor=by, target=str(version), message=note)
    return version


def check_text(workload: Workload, text: str) -> None:
    """Raise BadPrompt for a text that cannot be a prompt of this workload."""
    if not text.strip():
        raise BadPrompt("The prompt is empty; write what the model is to do.")
    if len(text) > MOST_CHARACTERS:
        raise BadPrompt(
            f"The prompt has {len(text):,} characters; at most {MOST_CHARACTERS:,} "
            "are taken."
        )
    template = Template(text)
    if not template.is_valid():
        raise BadPrompt(
            "A $ stands alone, or before what is no name; write $$ for the sign itself."
        )
    known = variables(workload)
    for name in template.get_identifiers():
        if name not in known:
            there = ", ".join(f"${one}" for one in known) or "none"
            raise BadPrompt(
                f"${name} is no variable of {workload.key}; there are: {there}. "
                "Write $$ for the sign itself."
            )
    current_prompt(workload)  # so that the shipped one is among those compared
    same = PromptVersion.objects.filter(workload=workload.key, digest=digest_of(text))
    if version := same.first():
        raise BadPrompt(f"Nothing is different: this is {version}, word for word.")


def variables(workload: Workload) -> list[str]:
    """The $names that a prompt may have: those of the shipped one."""
    return sorted(Template(workload.prompt).get_identifiers())


def promote(version: PromptVersion, *, by: str) -> PromptVersion:
    """Put a version into production; a trial of it ends. Others go on.

    Raises NotPossible for the one that is there already.
    """
    with transaction.atomic():
        versions = _locked(version.workload)
        version = next(one for one in versions if one.pk == version.pk)
        if version.is_production:
            raise NotPossible(f"{version} is in production already.")
        production = _production(versions)
        version.replaced = production
        _put_into_production(version, production, by=by)
        _audit("prompt.promote", version, production, by=by)
    return version


def roll_back(version: PromptVersion, *, by: str) -> PromptVersion:
    """Put into production again what this one took the place of; returns that.

    Raises NotPossible where it is not in production any more, or there was none.
    """
    with transaction.atomic():
        versions = _locked(version.workload)
        version = next(one for one in versions if one.pk == version.pk)
        if not version.is_production:
            raise NotPossible(
                f"{version} is not in production any more; reload the page."
            )
        before = next((v for v in versions if v.pk == version.replaced_id), None)
        if before is None:
            raise NotPossible(f"{version} took no other's place: it was the first.")
        # Its own `replaced` stays: rolling back once more leads further back.
        _put_into_production(before, version, by=by)
        _audit("prompt.roll_back", before, version, by=by)
    return before


def fill_prompt(text: str, variables: dict[str, str]) -> str:
    """Put values into a prompt's $variables; one that is not known stays as written."""
    return Template(text).safe_substitute(variables)


def _locked(workload_key: str) -> list[PromptVersion]:
    rows = PromptVersion.objects.select_for_update().filter(workload=workload_key)
    return list(rows.order_by("number"))


def _production(versions: list[PromptVersion]) -> PromptVersion | None:
    return next((version for version in versions if version.is_production), None)


def _next_number(versions: list[PromptVersion]) -> int:
    return max((version.number for version in versions), default=0) + 1


def _put_into_production(
    version: PromptVersion,
    production: PromptVersion | None,
    *,
    by: str,
) -> None:
    if production:
        PromptVersion.objects.filter(pk=production.pk).update(is_production=False)
    version.is_production, version.slots = True, []
    version.promoted_at, version.promoted_by = timezone.now(), by[:150]
    version.save(
        update_fields=[
            *("is_production", "slots", "promoted_at", "promoted_by", "replaced")
        ]
    )


def _audit(
    action: str,
    version: PromptVersion,
    production: PromptVersion | None,
    *,
    by: str,
) -> None:
    audit(
        action,
        actor=by,
        target=str(version),
        before={"production": str(production)} if production else None,
        after={"production": str(version)},
    )
