from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BatchesConfig(AppConfig):
    name = "batches"
    verbose_name = _("Batches")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from batches.signals import work_waiting

        work_waiting.connect(_wake_the_worker, dispatch_uid="batches.wake")


def _wake_the_worker(stage: str, **_: Any) -> None:
    # Imported when there is work: the services and the provider's client are dear.
    from batches.tasks import request_tick

    request_tick(stage)
