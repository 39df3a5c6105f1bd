from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BatchesConfig(AppConfig):
    name = "batches"
    verbose_name = _("Batches")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The admin's registry is complete: it is looked through before our turn.
        from batches.admin import form_changes
        from batches.services import (
            golden,  # noqa: F401  # a workload of the engine's
            sign_ins,
        )
        from batches.signals import work_waiting

        form_changes.watch()
        sign_ins.connect()

        work_waiting.connect(_wake_the_worker, dispatch_uid="batches.wake")


def _wake_the_worker(stage: str, **_: Any) -> None:
    # Imported when there is work: the services and the provider's client are dear.
    from batches.tasks import request_tick

    request_tick(stage)
