from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class TranslationsConfig(AppConfig):
    name = "translations"
    verbose_name = _("Translations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Now, and not when first asked: from here on a saved row tells its
        # translations.
        autodiscover_modules("translatable")
        from batches.schedules import register_schedules
        from translations.checks import advise_two_people
        from translations.schedules import wanted_schedules

        checks.register(advise_two_people, checks.Tags.database)
        register_schedules(wanted_schedules)
