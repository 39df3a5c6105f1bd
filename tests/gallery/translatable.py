from tests.gallery.models import Photo, Sketch
from translations.registry import register

register(Photo, fields=["title"], source_language="en")
register(Sketch, fields=["title"], source_language="en")
