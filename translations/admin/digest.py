"""The mail of what waits for review: each editor's own page, and all of them."""

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches import config
from batches.admin.base import PanelAdmin
from translations.languages import language_name
from translations.models import DigestChoice
from translations.review.digest import EDIT, REVIEW, is_on
from translations.review.queue import languages_there

NAME = "translations_translation_review_mail"


class DigestForm(forms.ModelForm):
    languages = forms.MultipleChoiceField(
        label=gettext_lazy("Only these languages"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None ticked: all of them."),
    )
    mail_language = forms.ChoiceField(
        label=gettext_lazy("The mail is in"), choices=settings.LANGUAGES
    )

    class Meta:
        model = DigestChoice
        fields = ["is_on", "languages", "mail_language"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        chosen = self.instance.languages.split()
        tags = dict.fromkeys(
            [*config.get("TRANSLATION_LANGUAGES"), *languages_there(), *chosen]
        )
        self.fields["languages"].choices = [(tag, language_name(tag)) for tag in tags]
        self.initial["languages"] = chosen
        self.initial["mail_language"] = (
            self.instance.mail_language or settings.LANGUAGE_CODE
        )

    def clean_languages(self):
        return " ".join(self.cleaned_data["languages"])


class DigestPage:
    """An editor's own choice, on the admin of translations."""

    def get_urls(self):
        view = self.admin_site.admin_view(self.mail_view)
        return [path("review/mail/", view, name=NAME), *super().get_urls()]

    def mail_view(self, request):
        user = request.user
        if not (user.has_perm(EDIT) or user.has_perm(REVIEW)):
            raise PermissionDenied
        choice = DigestChoice.objects.filter(editor_id=user.pk).first()
        # A superuser gets it who asks for it, so there the box is not ticked.
        choice = choice or DigestChoice(editor=user, is_on=not user.is_superuser)
        form = DigestForm(request.POST or None, instance=choice)
        if request.method == "POST" and form.is_valid():
            form.save()
            messages.success(request, _("Saved."))
            return HttpResponseRedirect(request.path)
        return self.review_page(
            request,
            "review_mail.html",
            _("Mail of what waits"),
            form=form,
            is_on=is_on(),
            address=getattr(user, user.get_email_field_name()),
            back_url=request.path,
        )


@admin.register(DigestChoice)
class DigestChoiceAdmin(PanelAdmin):
    list_display = ["editor", "is_on", "languages", "mail_language", "sent_on"]
    list_select_related = ["editor"]
    raw_id_fields = ["editor"]

    def panels(self, request, row):
        return []
