"""A stranger's models in the admin, with keys that are no numbers."""

from django.contrib import admin

from tests.gallery.models import Photo, Sketch
from translations.admin import TranslateActionMixin, TranslationsLiveAdmin


class GalleryAdmin(TranslateActionMixin, TranslationsLiveAdmin, admin.ModelAdmin):
    change_form_template = "admin/batches/form_with_panels.html"


admin.site.register(Photo, GalleryAdmin)
admin.site.register(Sketch, GalleryAdmin)
