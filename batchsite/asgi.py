"""The ASGI entry point: for servers that hold connections open without a thread each.

With gunicorn's own worker: `gunicorn batchsite.asgi --worker-class=asgi`.
"""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "batchsite.settings")

application = get_asgi_application()
