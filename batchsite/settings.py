"""Every setting, read once from the environment (and from `.env` beside manage.py).

What the environment says wins over the file. An empty value is the same as none.

The table in docs/settings.md and `.env.example` list the same names; a test compares
the three.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from batchsite.environment import Env
from batchsite.secret_key import local_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = BASE_DIR / ".local"

env = Env()
env.read_env(env.str("ENV_FILE", BASE_DIR / ".env"))

# `manage.py demo` lives in a world of its own: its database, spool and sandbox under
# .local/demo, and no key, whatever the environment says. The commands that it starts,
# and a person who wants to look at its data, say BATCHSITE_DEMO=true.
DEMO = env.bool("BATCHSITE_DEMO", default=sys.argv[1:2] == ["demo"])
DATA_DIR = LOCAL_DIR / "demo" if DEMO else Path(env.str("DATA_DIR", LOCAL_DIR))
SPOOL_DIR = (
    DATA_DIR / "spool" if DEMO else Path(env.str("SPOOL_DIR", DATA_DIR / "spool"))
)

# --- Django ---------------------------------------------------------------------------

DATABASE_URL = "" if DEMO else env.str("DATABASE_URL", "")
SECRET_KEY = env.str("SECRET_KEY", "")
DEBUG = DEMO or env.bool("DEBUG", default=not SECRET_KEY and not DATABASE_URL)
if not SECRET_KEY:
    if not DEBUG or DATABASE_URL:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. Set it to a long random text; only a trial on "
            "SQLite (no DATABASE_URL, DEBUG on) runs without one."
        )
    SECRET_KEY = local_secret_key(DATA_DIR / "secret_key")

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

BATCHSITE_APPS = env.list("BATCHSITE_APPS", default=[])
for app in BATCHSITE_APPS:
    if find_spec(app.partition(".")[0]) is None:
        raise ImproperlyConfigured(
            f"BATCHSITE_APPS names {app!r}, which cannot be imported; correct the "
            "name, or install the app."
        )

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "ninja",  # its pages of the API's documentation
    "django_q",
    "batchsite",
    "batches",
    "translations",
    "translations.chats",
    "translations.dictionary",
    "translations.files",
    "translations.lessons",
    *BATCHSITE_APPS,
]

MIDDLEWARE = [
    "batchsite.asgi_streams.StreamsPieceByPiece",
    "batchsite.middleware.SecurityHeaders",  # on every answer, whoever makes it
    "batches.api.middleware.JsonErrors",  # around all others, to see what they refuse
    "batches.api.audit.middleware.AuditedRequests",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "batchsite.middleware.SignInThrottle",
    "batchsite.second_factor.SecondFactorGate",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "batches.api.middleware.ReadOnce",
]

ROOT_URLCONF = "batchsite.urls"
WSGI_APPLICATION = "batchsite.wsgi.application"
ASGI_APPLICATION = "batchsite.asgi.application"
LOGIN_URL = "my:sign_in"
# Who may follow runs at once, in each process of an ASGI server.
EVENT_STREAMS = env.int("EVENT_STREAMS", 100)

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

if DATABASE_URL:
    DATABASES = {"default": env.database("DATABASE_URL", "")}
else:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "batchsite.sqlite3",
        }
    }
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Write transactions take their lock at BEGIN: a lock that is upgraded later fails
    # at once with "database is locked", whatever the timeout says.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
            # 8 MB: a chunk of results touches more pages than the usual 2 MB hold,
            # and would write and read them again before its commit.
            "PRAGMA foreign_keys=ON; PRAGMA cache_size=-8000;"
        ),
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# Shared by all processes: rate limits are counted in it.
REDIS_URL = "" if DEMO else env.str("REDIS_URL", "")
if REDIS_URL and find_spec("redis") is None:
    raise ImproperlyConfigured(
        "REDIS_URL is set, and the client is not installed: pip install redis, or "
        "leave it empty to keep the cache in the database."
    )
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "batchsite",
    }
    if REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "batchsite_cache",
    }
}

AUTHENTICATION_BACKENDS = ["batchsite.signing_in.ThrottledBackend"]
LOGIN_FAILURES = env.int("LOGIN_FAILURES", 5)
LOGIN_LOCK_MINUTES = env.int("LOGIN_LOCK_MINUTES", 15)
# The demo's administrator comes in with what the demo prints.
SECOND_FACTOR_REQUIRED = not DEMO and env.bool("SECOND_FACTOR_REQUIRED", False)

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ar", "العربية"), ("so", "Soomaali")]
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = DEBUG
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {
            "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        },
    }

# Safe behind TLS by default; only a trial on this machine speaks plain HTTP.
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_SECONDS > 0
SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Whose X-Forwarded-For is believed: addresses and networks.
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES", default=[])
SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

DEFAULT_EXCEPTION_REPORTER_FILTER = "batchsite.redaction.ErrorReports"
LOG_LEVEL = env.choice(
    "LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO"
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "batchsite.redaction.LineFormatter",
            "format": "{asctime} {levelname} {message}",
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "batches": {"handlers": ["stderr"], "level": LOG_LEVEL},
        "translations": {"handlers": ["stderr"], "level": LOG_LEVEL},
        "batchsite": {"handlers": ["stderr"], "level": LOG_LEVEL},
        # Three lines a tick; what a tick did is told by the engine's own.
        "django-q": {"handlers": ["stderr"], "level": "WARNING"},
    },
}

# --- Providers ------------------------------------------------------------------------

KEY_NAMES = ("OPENAI_API_KEY", "AI_INTEGRATIONS_OPENAI_API_KEY", "OPENAI_ADMIN_KEY")
IGNORED_KEYS = [name for name in KEY_NAMES if DEMO and env.str(name, "")]
OPENAI_API_KEY = "" if DEMO else env.str("OPENAI_API_KEY", "")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", "https://api.openai.com/v1")
if not OPENAI_API_KEY and not DEMO:
    OPENAI_API_KEY = env.str("AI_INTEGRATIONS_OPENAI_API_KEY", "")
    if OPENAI_API_KEY:
        OPENAI_BASE_URL = env.str("AI_INTEGRATIONS_OPENAI_BASE_URL", OPENAI_BASE_URL)
OPENAI_ADMIN_KEY = "" if DEMO else env.str("OPENAI_ADMIN_KEY", "")
OPENAI_WEBHOOK_SECRET = "" if DEMO else env.str("OPENAI_WEBHOOK_SECRET", "")
OPENAI_MODEL = env.str("OPENAI_MODEL", "gpt-4o-mini")

# With a key the sandbox is used only when it is named: paid work never goes silently to
# a pretender, and pretended work is never silently billed.
BATCH_PROVIDER = (
    "sandbox"
    if DEMO
    else env.str("BATCH_PROVIDER", "openai" if OPENAI_API_KEY else "sandbox")
)
SANDBOX_URL = env.str("SANDBOX_URL", "http://127.0.0.1:8010/v1")

PROVIDER_TIMEOUT_SECONDS = env.int("PROVIDER_TIMEOUT_SECONDS", 60)
PROVIDER_VISIBILITY_SECONDS = env.int("PROVIDER_VISIBILITY_SECONDS", 30)
PROVIDER_DELETE_SECONDS = env.int("PROVIDER_DELETE_SECONDS", 30)
LEASE_SECONDS = env.int("LEASE_SECONDS", 60)

# --- Batches --------------------------------------------------------------------------

# A demo that was switched off would wait for ever.
STAGING = not DEMO and env.bool("STAGING", False)
BATCH_PROCESSING_ENABLED = DEMO or env.bool("BATCH_PROCESSING_ENABLED", True)
BATCH_CREATION_ENABLED = DEMO or env.bool("BATCH_CREATION_ENABLED", True)
BATCH_POLLING_ENABLED = DEMO or env.bool("BATCH_POLLING_ENABLED", True)
BATCH_CREATE_INTERVAL = env.str("BATCH_CREATE_INTERVAL", "*/5 * * * *")
BATCH_STATUS_CHECK_INTERVAL = env.str("BATCH_STATUS_CHECK_INTERVAL", "*/2 * * * *")
BATCH_RESULT_PROCESSING_INTERVAL = env.str(
    "BATCH_RESULT_PROCESSING_INTERVAL", "*/1 * * * *"
)
BATCH_MAX_ATTEMPTS = env.int("BATCH_MAX_ATTEMPTS", 3)
BATCH_MAX_JOBS = env.int("BATCH_MAX_JOBS", 10)
BATCH_MAX_JOBS_PER_WORKLOAD = env.str("BATCH_MAX_JOBS_PER_WORKLOAD", "*=3,dictionary=5")
BATCH_MAX_REQUESTS = env.int("BATCH_MAX_REQUESTS", 1000)
BATCH_AUTO_SCALING = env.bool("BATCH_AUTO_SCALING", True)
BATCH_MIN_SIZE = env.int("BATCH_MIN_SIZE", 10)
BATCH_MAX_WAIT_MINUTES = env.int("BATCH_MAX_WAIT_MINUTES", 30)
BATCH_MIN_PASS_RATIO = env.float("BATCH_MIN_PASS_RATIO", 0.8)
BATCH_TIMEOUT_HOURS = env.int("BATCH_TIMEOUT_HOURS", 24)
TOKEN_QUEUE_LIMITS = env.str("TOKEN_QUEUE_LIMITS", "")
BATCH_SWEEP_SCHEDULE = env.str("BATCH_SWEEP_SCHEDULE", "30 * * * *")
BATCH_RECONCILE_SCHEDULE = env.str("BATCH_RECONCILE_SCHEDULE", "45 * * * *")
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", False)
KEEP_PROVIDER_FILES = env.bool("KEEP_PROVIDER_FILES", False)
NIGHTLY_SCHEDULE = env.str("NIGHTLY_SCHEDULE", "0 2 * * *")
NIGHTLY_LIMIT = env.int("NIGHTLY_LIMIT", 500)
SCHEDULE_TIME_ZONE = env.time_zone("SCHEDULE_TIME_ZONE", "Africa/Mogadishu")
# With a real provider something holds even where nobody chose: $5 a month.
# The demo's money is pretended, and a cap in .env is not meant for it.
MONTHLY_CAP_USD = (
    ""
    if DEMO
    else env.str("MONTHLY_CAP_USD", "5" if BATCH_PROVIDER == "openai" else "")
)
DAILY_CAP_USD = "" if DEMO else env.str("DAILY_CAP_USD", "")
RUN_CAP_USD = "" if DEMO else env.str("RUN_CAP_USD", "")

# --- Mail -----------------------------------------------------------------------------

# Thresholds of the dashboard's alerts.
ALERT_ERROR_PERCENT = env.float("ALERT_ERROR_PERCENT", 10.0)
ALERT_PROCESSING_SECONDS = env.int("ALERT_PROCESSING_SECONDS", 3600)
ALERT_JOBS_PER_HOUR = env.float("ALERT_JOBS_PER_HOUR", 0.5)
ALERT_FAILED_JOBS = env.int("ALERT_FAILED_JOBS", 1)
ALERT_SUPPRESSION_MINUTES = env.str(
    "ALERT_SUPPRESSION_MINUTES",
    "high_error_rate=60,long_processing_time=60,low_throughput=1440",
)
ALERT_CHANNELS = env.list("ALERT_CHANNELS", default=["email", "log"])
ALERT_EMAILS = env.list("ALERT_EMAILS", default=[])
vars().update(env.mail("EMAIL_URL"))
EMAIL_TIMEOUT = 10
SITE_URL = env.str("SITE_URL", "")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", "batchsite@localhost")

# --- The worker -----------------------------------------------------------------------

# django-q2 hands a task out again `retry` seconds after it was taken from the queue:
# that must be longer than the longest task, times those taken before it starts.
WORKERS = env.int("WORKERS", 2)
Q_CLUSTER = {
    "name": "batchsite",
    "label": "Background jobs",
    "orm": "default",
    "workers": WORKERS,
    "bulk": 1,
    "queue_limit": 1,
    "poll": 0.5,
    "timeout": 300,
    "retry": 1200,
    "max_attempts": 3,
    "ack_failures": False,
    "catch_up": False,
    "save_limit": 100,
    # A worker that is gone means that it died: `up` restarts the group at once, so
    # none is ever replaced for its age.
    "recycle": 1_000_000,
    "time_zone": SCHEDULE_TIME_ZONE,
}

# --- Translations ---------------------------------------------------------------------

REVIEW_TWO_PEOPLE = env.bool("REVIEW_TWO_PEOPLE", False)
SOURCE_SWEEP_SCHEDULE = env.str("SOURCE_SWEEP_SCHEDULE", "0 1 * * *")
REVIEW_DIGEST_SCHEDULE = env.str("REVIEW_DIGEST_SCHEDULE", "0 7 * * 1-5")
MAX_FIELD_CHARACTERS = env.int("MAX_FIELD_CHARACTERS", 800_000)
LANGUAGES_TOLD_APART = env.list(
    "LANGUAGES_TOLD_APART", default=["ar", "de", "en", "es", "fr", "so", "sw"]
)
TRANSLATION_LANGUAGES = env.list("TRANSLATION_LANGUAGES", default=["en", "ar"])
TRANSLATION_REPAIR = env.bool("TRANSLATION_REPAIR", True)
TRANSLATION_PUBLISH = "clean" if DEMO else env.str("TRANSLATION_PUBLISH", "review")
TRANSLATION_PUBLISH_PAIRS = (
    [] if DEMO else env.list("TRANSLATION_PUBLISH_PAIRS", default=[])
)
QUIZ_AUTO_APPLY = env.bool("QUIZ_AUTO_APPLY", False)

# --- The dictionary -------------------------------------------------------------------

CACHE_DIR = (
    DATA_DIR / "cache" if DEMO else Path(env.str("CACHE_DIR", BASE_DIR / "cache"))
)
WORD_NORMALISER = env.choice(
    "WORD_NORMALISER", ("simplemma", "nltk", "spacy"), "simplemma"
)
DEFINITIONS_FILE = "" if DEMO else env.str("DEFINITIONS_FILE", "")
DEFINITIONS_URL = "" if DEMO else env.str("DEFINITIONS_URL", "")

# --- Chats ----------------------------------------------------------------------------

CHAT_CATEGORIES = env.str("CHAT_CATEGORIES", "academy")
CHAT_STAFF_LANGUAGE = env.str("CHAT_STAFF_LANGUAGE", "en")
