"""Content of any length, and what was answered; both without a rule against doubles,
so that an answer that was stored twice is seen."""

from django.db import models


class Letter(models.Model):
    text = models.TextField()


class Reply(models.Model):
    """A result of the workload `letters`."""

    object_id = models.CharField(max_length=64)
    target = models.CharField(max_length=64)
    text = models.TextField()
