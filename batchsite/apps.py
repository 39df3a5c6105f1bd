from django.apps import AppConfig
from django.core.checks import register


class BatchsiteConfig(AppConfig):
    """The room that may see every app: its commands put them together."""

    name = "batchsite"

    def ready(self) -> None:
        # Listens to sign-ins.
        from batchsite import second_factor, signing_in  # noqa: F401
        from batchsite.checks import check_settings

        register(check_settings)
