from django.apps import AppConfig
from django.core.checks import register


class BatchsiteConfig(AppConfig):
    """The room that may see every app: its commands put them together."""

    name = "batchsite"

    def ready(self) -> None:
        from batchsite.checks import check_settings

        register(check_settings)
