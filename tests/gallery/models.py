"""Content with the three kinds of keys that subjects have: numbers, UUIDs, slugs."""

import uuid

from django.db import models


class Painting(models.Model):
    title = models.CharField(max_length=200)


class Photo(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=200)


class Sketch(models.Model):
    slug = models.SlugField(primary_key=True)
    title = models.CharField(max_length=200)


class Caption(models.Model):
    """A result of the workload `captions`."""

    kind = models.CharField(max_length=16)
    object_id = models.CharField(max_length=64)
    target = models.CharField(max_length=64)
    item_id = models.BigIntegerField(unique=True)
    text = models.TextField()
