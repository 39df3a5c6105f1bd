from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FilesConfig(AppConfig):
    name = "translations.files"
    label = "translations_files"
    verbose_name = _("Files of requests")
    default_auto_field = "django.db.models.BigAutoField"
