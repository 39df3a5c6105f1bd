"""Settings for the tests: the product's own, away from any real data and any key."""

import os
import tempfile

os.environ["ENV_FILE"] = os.devnull
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ["DEBUG"] = "true"
os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="batchsite"))
os.environ["BATCHSITE_APPS"] = "tests.gallery"
for name in (
    "DATABASE_URL",
    "OPENAI_API_KEY",
    "AI_INTEGRATIONS_OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
):
    os.environ.pop(name, None)

from batchsite.settings import *  # noqa: E402, F403

BATCH_PROVIDER = "sandbox"
STAGING = False
LOGGING = {"version": 1, "disable_existing_loggers": False}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Look for a file when it is asked for: else each test client goes through all of them.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
