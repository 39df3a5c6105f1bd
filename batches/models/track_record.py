"""How much is known of what a model makes of a prompt."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class TrackRecord(models.Model):
    """How many answers were judged, of one kind; added to when a job ends.

    `trait` is the workload's word for what sets its items apart, such as a language.
    """

    workload = models.CharField(_("workload"), max_length=64)
    model = models.CharField(_("model"), max_length=100)
    prompt_key = models.BigIntegerField(
        _("prompt"), default=0, help_text="The prompt version; 0 for none."
    )
    trait = models.CharField(_("trait"), max_length=255, blank=True)
    judged = models.PositiveIntegerField(_("judged"), default=0)

    class Meta:
        verbose_name = _("track record")
        verbose_name_plural = _("track records")
        constraints = [
            models.UniqueConstraint(
                name="trackrecord_once",
                fields=["workload", "model", "prompt_key", "trait"],
            )
        ]

    def __str__(self) -> str:
        what = f"{self.workload}, {self.model}, {self.trait}".rstrip(", ")
        return f"{self.judged} × {what}"
