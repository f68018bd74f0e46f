"""The settings of a process that runs one bounded app and nothing else.

`SERVICE=documents` narrows the platform to the kernel and that app. People log in on the platform: this process
authenticates them by their access token alone, so it has no sessions, no pages, no admin.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

KERNEL = (
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "pgtrigger",
    "pghistory",
    "django_prometheus",
    "rest_framework",
    "drf_spectacular",
    "apps.core.apps.WaffleConfig",
    "apps.core.apps.CoreConfig",
)
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "apps.core.rest.middleware.RequestIdentity",
    "apps.core.rest.headers.AnswerHeaders",
    "django.middleware.locale.LocaleMiddleware",
    "apps.core.rest.hosts.HostNames",
]
# The families of dependencies that a service registers for itself.
PROBES = {"authentication": ("signing",), "documents": ("storage",), "notifications": ("mail",)}


def narrowed(settings: dict[str, Any], service: str) -> dict[str, Any]:
    """The settings that differ in a process that runs one service. Raises: ImproperlyConfigured for an unknown one."""
    known = [name.removeprefix("apps.") for name in settings["BOUNDED_APPS"]]
    if service not in known:
        raise ImproperlyConfigured(f"there is no service {service!r}; there are {', '.join(known)}")
    changed = {
        "INSTALLED_APPS": [*KERNEL, f"apps.{service}"],
        "MIDDLEWARE": MIDDLEWARE,
        "ROOT_URLCONF": "landcontracts.alone.urls",
        "REST_FRAMEWORK": {
            **settings["REST_FRAMEWORK"],
            "DEFAULT_AUTHENTICATION_CLASSES": ("apps.core.rest.authentication.BearerAuthentication",),
            "DEFAULT_RENDERER_CLASSES": ("apps.core.rest.renderers.StructRenderer",),
        },
        "READY_CHECKS": (
            *("database", "migrations", "clock", "redis", "keys", "home", "replicas", "traces"),
            *PROBES.get(service, ()),
        ),
        "SEAM_SERVES": [service],
        "SEAM_PROCESS_NAME": service,
        "SEAM_AWAY": {name: url for name, url in settings["SEAM_AWAY"].items() if name != service},
        "CELERY_TASK_DEFAULT_QUEUE": f"events.{service}",
        "CELERY_BEAT_SCHEDULE": {
            name: entry
            for name, entry in settings["CELERY_BEAT_SCHEDULE"].items()
            if entry["task"].startswith(f"{service}.")
            or (entry["task"].startswith("core.") and entry.get("args", (service,))[0] == service)
        },
    }
    if service != "authentication":
        # Django requires a user model; its table is never queried, because people do not log in here.
        changed |= {"AUTH_USER_MODEL": "auth.User", "AUTHENTICATION_BACKENDS": []}
    return changed
