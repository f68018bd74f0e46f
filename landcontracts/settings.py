"""Settings, from the environment alone; `make run`, `demo` and `test` set it for the embedded stack: `.env.example`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

from landcontracts import logs, valkey
from landcontracts.alone import narrowed
from landcontracts.schedule import SCHEDULE
from landcontracts.topology import SERVICES

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8000")
# The proxies in front of this process that add the client's address to X-Forwarded-For; 0 when there is none.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0)
SECURE_COOKIES = PUBLIC_URL.startswith("https://")

# The apps that may be lifted out.
BOUNDED_APPS = tuple(f"apps.{service}" for service in SERVICES)
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # its pages are loaded with the URLs, by a web server
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "pgtrigger",
    "pghistory",
    "django_prometheus",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.core.apps.WaffleConfig",
    "apps.core.apps.CoreConfig",
    *BOUNDED_APPS,
    "apps.backups",
    "apps.extraction",
    "landcontracts.gateway",
    "apps.portal",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.core.rest.middleware.RequestIdentity",
    "apps.core.rest.headers.AnswerHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "apps.core.rest.hosts.HostNames",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.authentication.device_cookie.DeviceCookie",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.core.rest.csp.PagesPolicy",
    "apps.core.rest.relocation_retry.RelocationRetry",
    "apps.core.rest.admin_input.AdminInput",
]
ROOT_URLCONF = "landcontracts.urls"
WSGI_APPLICATION = "landcontracts.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Databases -------------------------------------------------------------------------------------------------------
# Timeouts (ms) that the server enforces, ordered so that a hanging process does not hold a key longer than its caller
# waits: idle in transaction < lock < the caller's five seconds. As connection options they cost no query.
TIMEOUTS = {
    "idle_in_transaction_session_timeout": env.int("DB_IDLE_IN_TRANSACTION_MS", 2_000),
    "lock_timeout": env.int("DB_LOCK_TIMEOUT_MS", 3_000),
    "statement_timeout": env.int("DB_STATEMENT_TIMEOUT_MS", 10_000),
    "transaction_timeout": env.int("DB_TRANSACTION_TIMEOUT_MS", 15_000),
}
# Migrations and the shell run long, and on one connection; the pool is for servers and workers.
LONG_COMMANDS = {"migrate", "makemigrations", "shell", "dbshell"}
IS_LONG_COMMAND = len(sys.argv) > 1 and sys.argv[1] in LONG_COMMANDS


def _database(url: str) -> dict[str, Any]:
    database: dict[str, Any] = env.db_url_config(url)
    options: dict[str, Any] = database.setdefault("OPTIONS", {})
    if not IS_LONG_COMMAND:
        options["options"] = " ".join(f"-c {name}={value}" for name, value in TIMEOUTS.items())
        options["pool"] = {"min_size": 1, "max_size": env.int("DB_POOL_SIZE", 28), "timeout": 5}
    database["ENGINE"] = "apps.core.database"
    database["ATOMIC_REQUESTS"] = False
    return database


# The shared database, and one for each service that has or may get a database of its own. The grants decide the
# primary.
SERVICE_DATABASE_URLS: dict[str, str] = env.json("SERVICE_DATABASE_URLS", default={})
DATABASES = {"default": _database(env.str("DATABASE_URL"))} | {
    service: _database(url) for service, url in SERVICE_DATABASE_URLS.items()
}
# Streaming replicas of each primary, by alias; they answer queries that decide nothing while they lag less than this.
REPLICA_URLS: dict[str, list[str]] = env.json("REPLICA_URLS", default={})
REPLICA_MAX_LAG_SECONDS = env.float("REPLICA_MAX_LAG_SECONDS", 1.0)
for alias, urls in REPLICA_URLS.items():
    DATABASES |= {f"{alias}_replica_{number}": _database(url) for number, url in enumerate(urls)}
DATABASE_ROUTERS = ["apps.core.database.router.PrimaryRouter"]
# The roles that serve requests: the platform's, and each service's own. A cutover revokes all their rights on a
# service's tables in one database and grants them in the other.
DATABASE_APP_ROLES = env.list("DATABASE_APP_ROLES", default=["lc_app", "lc_{service}"])
SERVICE_DATABASE_PASSWORDS: dict[str, str] = env.json("SERVICE_DATABASE_PASSWORDS", default={})
# The role whose grants decide the primary, for processes of another role: the owner, who migrates, may write
# everywhere.
DATABASE_APP_ROLE = env.str("DATABASE_APP_ROLE", DATABASE_APP_ROLES[0] if IS_LONG_COMMAND else "")
# For relocations, by alias: the control role's URLs; REPLICATION_URLS are those by which the servers reach each other.
CONTROL_URLS: dict[str, str] = env.json("CONTROL_URLS", default={})
CUTOVER_LEFT_SECONDS = env.int("CUTOVER_LEFT_SECONDS", 3)  # after this time the worker finishes an abandoned cutover
REHEARSAL = env.bool("REHEARSAL", False)  # a rehearsal's databases have no guard against DDL, which is not run there
BACKUP_ROOT = env.str("BACKUP_ROOT", str(BASE_DIR / "var" / "backups"))
PG_BIN = env.str("PG_BIN", "")  # the folder of pg_dump and pg_restore, when not on the path
SYNC_JOBS = env.int("SYNC_JOBS", 2)  # chunks copied at a time
SYNC_SLOT_MAX_BYTES = env.int("SYNC_SLOT_MAX_BYTES", 1024**3)  # WAL that one slot may make its server keep
SYNC_BUSY_SESSIONS = env.int("SYNC_BUSY_SESSIONS", 4)  # active sessions of requests from which on a comparison pauses
REPLICATION_URLS: dict[str, str] = env.json("REPLICATION_URLS", default={})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"waffle": None}

# --- The seam --------------------------------------------------------------------------------------------------------
SEAM_TOPOLOGY = "landcontracts.topology"
SEAM_CALLS = "landcontracts.calls.CALLS"  # what each service may ask once it is lifted out
SEAM_ROLES = "landcontracts.roles.of"
SEAM_REVOKED = "landcontracts.roles.revoked"  # whose access tokens are refused before they expire
# The one service that this process runs; empty for the whole platform.
SERVICE = env.str("SERVICE", "")
SEAM_PROCESS_NAME = env.str("SEAM_PROCESS_NAME", SERVICE or "monolith")
SEAM_SERVES = [name.removeprefix("apps.") for name in BOUNDED_APPS]
# The address of each service once it is lifted out; the flags decide which calls go there.
SEAM_AWAY: dict[str, str] = env.json("SEAM_AWAY", default={})
# Services with data of their own outside the platform, which has no local answer for them.
SEAM_OWN_DATA: list[str] = env.list("SEAM_OWN_DATA", default=[])
# The monolith's address, at which a lifted-out service reaches the others.
SEAM_HOME = env.str("SEAM_HOME", "")
SEAM_MASTER_SECRETS = env.list("SEAM_MASTER_SECRETS", default=[] if SERVICE else environ.Env.NOTSET)
SEAM_PAIR_SECRETS: dict[str, list[str]] = env.json("SEAM_PAIR_SECRETS", default={})
# Calls under way from this process to one service, and to all: fewer than its threads, so that some can answer calls
# back.
SEAM_MAX_IN_FLIGHT = env.int("SEAM_MAX_IN_FLIGHT", 8)
SEAM_MAX_IN_FLIGHT_IN_ALL = env.int("SEAM_MAX_IN_FLIGHT_IN_ALL", 12)
SEAM_SHADOW_QUEUE = env.int("SEAM_SHADOW_QUEUE", 1_000)
# At every n-th comparison the first side is asked twice even where nothing differs.
SEAM_SHADOW_TWICE_EACH = env.int("SEAM_SHADOW_TWICE_EACH", 10)
# The families of dependencies that /readyz probes; core and the apps register them (apps/core/health/registry.py).
READY_CHECKS: tuple[str, ...] = (
    *("database", "migrations", "clock", "redis", "storage", "keys", "signing"),
    *("services", "replicas", "mail", "traces"),
)
COMMAND_DIGEST_SECRET = env.str("COMMAND_DIGEST_SECRET")
COMMAND_KEPT = timedelta(hours=72)

# --- People ----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "authentication.User"
AUTHENTICATION_BACKENDS = ["apps.authentication.backends.SeamBackend"]
LOGIN_URL = "portal:sign-in"
LOGIN_REDIRECT_URL = "portal:contracts"
LOGOUT_REDIRECT_URL = "portal:sign-in"
PASSWORD_HASHERS = [
    "apps.authentication.hashers.Argon2",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
]
ARGON2_TIME_COST = env.int("ARGON2_TIME_COST", 2)
ARGON2_MEMORY_KIB = env.int("ARGON2_MEMORY_KIB", 19_456)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SESSION_ENGINE = "apps.authentication.sessions"
SESSION_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = SECURE_COOKIES
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = False
X_FRAME_OPTIONS = "DENY"

# Authentication issues tokens; any other lifted-out service verifies them by JWT_RETIRED_PUBLIC_KEYS.
ISSUES_TOKENS = SERVICE in {"", "authentication"}
JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", environ.Env.NOTSET if ISSUES_TOKENS else "", multiline=True)
JWT_RETIRED_PUBLIC_KEYS = env.json("JWT_RETIRED_PUBLIC_KEYS", default=[])
REFRESH_TOKEN_SECRET = env.str("REFRESH_TOKEN_SECRET", environ.Env.NOTSET if ISSUES_TOKENS else "")
SIMPLE_JWT = {
    "ALGORITHM": "RS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": env.str("JWT_ISSUER", "landcontracts"),
    "AUDIENCE": env.str("JWT_AUDIENCE", "landcontracts-api"),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "USER_ID_CLAIM": "sub",
    "LEEWAY": 5,
}

# --- REST ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": (
        "apps.core.rest.authentication.BearerAuthentication",
        "apps.core.rest.authentication.BrowserSession",
    ),
    "DEFAULT_PERMISSION_CLASSES": (),
    "DEFAULT_RENDERER_CLASSES": (
        "apps.core.rest.renderers.StructRenderer",
        "apps.core.rest.renderers.StructBrowsableRenderer",
    ),
    "DEFAULT_PARSER_CLASSES": ("apps.core.rest.parsers.RawJson",),
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.core.rest.negotiation.Negotiation",
    "DEFAULT_SCHEMA_CLASS": "apps.core.rest.schema.StructSchema",
    "EXCEPTION_HANDLER": "apps.core.rest.problems.handle",
    "UNAUTHENTICATED_USER": "apps.core.rest.authentication.Stranger",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "landcontracts",
    "DESCRIPTION": "Sale of land plots: contracts, documents, signatures, workflow.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_PATCH": False,
    "COMPONENT_NO_READ_ONLY_REQUIRED": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["apps.core.rest.schema.add_components"],
}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    },
    "EXCLUDE_URL_PREFIXES": ["/admin/"],  # its policy is in `core/rest/csp.py`
}

# --- Files -----------------------------------------------------------------------------------------------------------
DOCUMENTS_BUCKET = env.str("S3_BUCKET", "landcontracts")
DOCUMENT_MAX_BYTES = env.int("DOCUMENT_MAX_BYTES", 50 * 1024 * 1024)
UPLOAD_URL_SECONDS = 900
DOWNLOAD_URL_SECONDS = env.int("DOWNLOAD_URL_SECONDS", 300)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    "documents": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": DOCUMENTS_BUCKET,
            "endpoint_url": env.str("S3_ENDPOINT_URL", None),
            "access_key": env.str("S3_ACCESS_KEY"),
            "secret_key": env.str("S3_SECRET_KEY", environ.Env.NOTSET if SERVICE in {"", "documents"} else ""),
            "region_name": env.str("S3_REGION", "us-east-1"),
            "addressing_style": env.str("S3_ADDRESSING_STYLE", "path"),
            "signature_version": "s3v4",
        },
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "build" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
if DEBUG or not STATIC_ROOT.exists():
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    WHITENOISE_USE_FINDERS = True

# --- Mail, queue, cache -----------------------------------------------------------------------------------------------
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
MAIL_DOMAIN = env.str("MAIL_DOMAIN", "landcontracts.example")
# E-mails an hour: to one person, by one person's acts, and by one person's acts to one other.
MAILS_AN_HOUR_TO_ONE = env.int("MAILS_AN_HOUR_TO_ONE", 30)
MAILS_AN_HOUR_BY_ONE = env.int("MAILS_AN_HOUR_BY_ONE", 60)
MAILS_AN_HOUR_BY_ONE_TO_ONE = env.int("MAILS_AN_HOUR_BY_ONE_TO_ONE", 10)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "noreply@landcontracts.example")
REDIS_URL = env.str("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"serializer": "apps.core.database.cache.JsonSerializer"},
    },
    "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}
WAFFLE_CACHE_NAME = "none"  # it would store rows as pickles; the snapshot answers for flags
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT = "landcontracts.broker:Transport"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "clock"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
UNACKNOWLEDGED = valkey.unacknowledged(SERVICE)
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2, "unacked_key": UNACKNOWLEDGED} | {
    f"unacked_{part}_key": f"{UNACKNOWLEDGED}_{part}" for part in ("index", "mutex")
}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # one message on its channel would stop every worker
SERVICE_VALKEY_PASSWORDS: dict[str, str] = env.json("SERVICE_VALKEY_PASSWORDS", default={})
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = SCHEDULE

# --- Flags -----------------------------------------------------------------------------------------------------------
WAFFLE_FLAG_MODEL = "core.Flag"
WAFFLE_CREATE_MISSING_FLAGS = False

# --- Languages --------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "ru"
LANGUAGES = [("ru", "Русский"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", "Europe/Moscow")
USE_TZ = True
UNFOLD = {"SITE_TITLE": "landcontracts", "SITE_HEADER": "landcontracts", "SHOW_LANGUAGES": True}

# --- Metrics ----------------------------------------------------------------------------------------------------------
# host:port at which a Celery worker is scraped; without one it shares its web server's PROMETHEUS_MULTIPROC_DIR.
WORKER_METRICS = env.str("WORKER_METRICS", "")
# The Prometheus that loads the rules of migrations_playbook/alerting; queried before a service is decommissioned.
PROMETHEUS_URL = env.str("PROMETHEUS_URL", "")

# --- Logs and traces -------------------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", "WARNING")
LOGGING = logs.configure(LOG_LEVEL, service=SERVICE or SEAM_PROCESS_NAME)
# The endpoint for spans, by OpenTelemetry's own variables; without one nothing is traced (otlp.py reads the others).
TRACES_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "") or env.str("OTEL_EXPORTER_OTLP_ENDPOINT", "")

if SERVICE:
    vars().update(narrowed(vars(), SERVICE))
