"""What a person is asked who rejects a result: why. Its next request is told."""

from django import forms
from django.utils.translation import gettext_lazy as _

from translations.review.models import Reason

LONGEST = 500


class RejectForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("Why?"), choices=Reason.choices, widget=forms.RadioSelect
    )
    explanation = forms.CharField(
        label=_("In words"),
        help_text=_("The next request for it tells the model."),
        max_length=LONGEST,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
    )
