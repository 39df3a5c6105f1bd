"""Translations in the admin, and what the admins of content need to have them made."""

from translations.admin.desk import is_translated
from translations.admin.glossary import GlossaryTermAdmin
from translations.admin.importing import ImportContentMixin
from translations.admin.panel import TranslationsLiveAdmin
from translations.admin.translate import TranslateActionMixin
from translations.admin.units import TranslationAdmin, TranslationVersionAdmin

__all__ = [
    "GlossaryTermAdmin",
    "ImportContentMixin",
    "TranslateActionMixin",
    "TranslationAdmin",
    "TranslationVersionAdmin",
    "TranslationsLiveAdmin",
    "is_translated",
]
