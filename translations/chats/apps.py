from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatsConfig(AppConfig):
    name = "translations.chats"
    label = "translations_chats"
    verbose_name = _("Chats")
    default_auto_field = "django.db.models.BigAutoField"
