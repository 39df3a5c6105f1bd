"""Which wording a workload's requests carry, and where it is kept."""

import hashlib
from string import Template

from django.db import transaction
from django.db.models import Max

from batches.models import PromptVersion
from batches.workloads import Workload


def current_prompt(workload: Workload) -> PromptVersion:
    """The version in production; made from the shipped text when there is none.

    A newer shipped text replaces an older shipped one, and never one that a person
    wrote.
    """
    digest = hashlib.sha256(workload.prompt.encode()).hexdigest()
    production = PromptVersion.objects.filter(
        workload=workload.key, is_production=True
    ).first()
    if production and (
        production.digest == digest or production.origin != PromptVersion.Origin.CODE
    ):
        return production
    with transaction.atomic():
        versions = PromptVersion.objects.select_for_update().filter(
            workload=workload.key
        )
        last = versions.aggregate(last=Max("number"))["last"] or 0
        versions.filter(is_production=True).update(is_production=False)
        version, _ = PromptVersion.objects.update_or_create(
            workload=workload.key,
            digest=digest,
            defaults={"is_production": True},
            create_defaults={
                "number": last + 1,
                "text": workload.prompt,
                "origin": PromptVersion.Origin.CODE,
                "is_production": True,
            },
        )
    return version


def fill_prompt(text: str, variables: dict[str, str]) -> str:
    """Put values into a prompt's $variables; one that is not known stays as written."""
    return Template(text).safe_substitute(variables)
