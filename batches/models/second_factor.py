"""A person's second factor: an app on their telephone that shows a code."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class SecondFactor(models.Model):
    """What the app and we both know; not in force until a code of it was given."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    secret = models.CharField(max_length=32, help_text="160 bits, in base 32.")
    last_step = models.BigIntegerField(
        default=0, help_text="Of the last code that was taken: none is taken twice."
    )
    recovery_digests = models.JSONField(
        default=list, help_text="SHA-256 of each recovery code that is left."
    )
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()  # nobody but its owner meets it

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"
