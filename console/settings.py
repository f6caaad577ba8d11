"""Django's settings, all from the environment. Flat: one name, one line, one reason.

``manage.py up`` writes these variables for the parts it starts; in production you do.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

from kombu.entity import Queue

from console import env, limits, statics

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.envstr("STATEHOUSE_DATA_DIR", str(BASE_DIR / ".statehouse"))).absolute()
TESTING = "pytest" in sys.modules
DEBUG = env.envbool("STATEHOUSE_DEBUG")

# Without a key this stays empty, and Django refuses at the first use: `manage.py up` and `manage.py engine` need none.
SECRET_KEY = env.envsecret("STATEHOUSE_SECRET_KEY")
if not SECRET_KEY and (TESTING or DEBUG):
    SECRET_KEY = secrets.token_urlsafe(50)

ALLOWED_HOSTS = env.envlist("STATEHOUSE_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
ALLOWED_ORIGINS = env.envorigins("STATEHOUSE_ALLOWED_ORIGINS", "http://localhost:8000,http://127.0.0.1:8000")
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS

# --- the parts we talk to
KAFKA_BOOTSTRAP_SERVERS = env.envstr("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
KAFKA_CLIENT_SETTINGS_FILE = env.envstr("KAFKA_CLIENT_SETTINGS_FILE")
REDIS_URL = env.envstr("REDIS_URL", "redis://localhost:6379/0")
ENGINE_TOKEN_FILE = env.envstr("ENGINE_TOKEN_FILE")
# The name under which engines on this machine report themselves; a worker takes the jobs of its own host.
HOST_NAME = env.envstr("STATEHOUSE_HOST_NAME", socket.gethostname())

DATABASES = {"default": env.database(env.envstr("DATABASE_URL", f"sqlite:///{DATA_DIR}/console.db"))}
if TESTING:
    # A file, because threads share it: SQLite's in-memory databases lock whole tables without waiting.
    DATABASES["default"]["TEST"] = (
        {"NAME": str(DATA_DIR / "test.sqlite3")} if "sqlite3" in str(DATABASES["default"]["ENGINE"]) else {}
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "console",
]
if (BASE_DIR / "engine" / "apps.py").exists():
    INSTALLED_APPS.append("engine")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "console.access.headers.SecurityHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "console.access.policy.DeclaredActionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

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
            "builtins": ["django.templatetags.static"],
        },
    },
]

LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# --- static files: ours, and the browser libraries that set-up puts into node_modules (nothing from a CDN)
# `collectstatic` is for images; a checkout serves from the folders themselves.
_COLLECTED = BASE_DIR / "staticfiles"
STATIC_ROOT = _COLLECTED if _COLLECTED.is_dir() or "collectstatic" in sys.argv else None
_LIBRARIES = {"uplot": BASE_DIR / "node_modules" / "uplot" / "dist"}
_OURS = [folder for folder in [BASE_DIR / "static"] if folder.is_dir()]
STATICFILES_DIRS: list[object] = [*_OURS]
STATICFILES_DIRS += [(f"lib/{name}", folder) for name, folder in _LIBRARIES.items() if folder.is_dir()]
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_AUTOREFRESH = DEBUG or TESTING
# Whoever works on the files wants to see them at once, under the same address.
STATIC_MOVES = DEBUG
_SERVED = [_COLLECTED] if _COLLECTED.is_dir() else [*_OURS, *_LIBRARIES.values()]
STATIC_VERSION = "now" if STATIC_MOVES else statics.fingerprint(_SERVED)
STATIC_URL = f"/static/{STATIC_VERSION}/"
if not STATIC_MOVES:
    WHITENOISE_IMMUTABLE_FILE_TEST = statics.always

# --- sessions, cookies, headers
HTTPS = env.envbool("STATEHOUSE_HTTPS", default=all(origin.startswith("https://") for origin in ALLOWED_ORIGINS))
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
SESSION_COOKIE_NAME = "statehouse_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_NAME = "statehouse_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 365 * 86_400 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = limits.REQUEST_BODY_BYTES_MAX
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

# --- Channels
# A receiver blocks in Redis for 5 s at a time; redis-py's own bound on an answer is as short, and would end the wait.
CHANNELS_REDIS = {"address": REDIS_URL, "socket_timeout": 20, "socket_connect_timeout": 5}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "console.live.layer.PatientRedisChannelLayer",
        # Messages are pings ("something changed"): a socket that is behind loses nothing by dropping them.
        "CONFIG": {"hosts": [CHANNELS_REDIS], "prefix": "statehouse-channels", "capacity": 100, "expiry": 10},
    },
}

# --- Celery: JSON only, no remote control, one message at a time, acknowledged when done
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": limits.VISIBILITY_TIMEOUT_S,
    "global_keyprefix": "statehouse-celery:",
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
# What a job did stands in its row; a second copy in a result backend could only disagree with it.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "statehouse"
# A worker takes general work and the work of its own host: a staging copy is built beside the task it is for.
CELERY_TASK_QUEUES = [Queue(name) for name in ("statehouse", f"host.{HOST_NAME}")]  # type: ignore[no-untyped-call]
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "close-expired-jobs": {"task": "console.jobs.reap", "schedule": 10.0, "options": {"expires": 10}},
    "look-at-alerts": {"task": "console.alerts.look", "schedule": 5.0, "options": {"expires": 5}},
    "thin-alerts": {"task": "console.alerts.thin", "schedule": 3600.0, "options": {"expires": 3600}},
    "run-schedules": {"task": "console.jobs.schedules", "schedule": 15.0, "options": {"expires": 15}},
    "thin-history": {"task": "console.jobs.thin", "schedule": 300.0, "options": {"expires": 300}},
}

# --- a schema registry, for readers who want values shown as Avro; SCHEMA_REGISTRY_USER_INFO is "user:password"
SCHEMA_REGISTRY_URL = env.envstr("SCHEMA_REGISTRY_URL")
SCHEMA_REGISTRY_USER_INFO = env.envsecret("SCHEMA_REGISTRY_USER_INFO")

# --- alerts: hosts that webhooks may go to (none: any but loopback, link-local and metadata addresses), and a mail server
ALERT_WEBHOOK_HOSTS = env.envlist("STATEHOUSE_ALERT_WEBHOOK_HOSTS")
EMAIL_HOST = env.envstr("EMAIL_HOST")
EMAIL_CONFIGURED = bool(EMAIL_HOST)
EMAIL_PORT = env.envint("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.envstr("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.envsecret("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.envbool("EMAIL_USE_TLS")
EMAIL_USE_SSL = env.envbool("EMAIL_USE_SSL")
DEFAULT_FROM_EMAIL = env.envstr("DEFAULT_FROM_EMAIL", "statehouse@localhost")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.envstr("STATEHOUSE_LOG_LEVEL", "INFO").upper()},
    "loggers": {"django.request": {"level": "ERROR"}, "httpx": {"level": "WARNING"}},
}

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
