"""Who we are at the provider: an id made once, which names our files and batches."""

import hashlib

from django.db import connection

from batches.models import Installation


def installation_id() -> str:
    """This installation's id, as text; made with the database's first job."""
    row, _ = Installation.objects.get_or_create(
        pk=1, defaults={"database_hash": database_hash()}
    )
    return row.public_id.hex


def database_hash() -> str:
    """A hash of where the database is: host, port and name, or the file's path."""
    place = connection.settings_dict
    text = "\0".join(str(place.get(key) or "") for key in ("HOST", "PORT", "NAME"))
    return hashlib.sha256(text.encode()).hexdigest()
