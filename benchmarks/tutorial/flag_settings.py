"""The tutorial with waffle as documented, on `startproject`'s database (SQLite, in memory) and cache (LocMem)."""

from benchmarks.tutorial.settings import *  # noqa: F403 - how settings are extended
from benchmarks.tutorial.settings import INSTALLED_APPS as TUTORIAL_APPS
from benchmarks.tutorial.settings import MIDDLEWARE as TUTORIAL_MIDDLEWARE

INSTALLED_APPS = [*(name for name in TUTORIAL_APPS if name != "benchmarks.tutorial"), "waffle"]
MIDDLEWARE = [*TUTORIAL_MIDDLEWARE, "waffle.middleware.WaffleMiddleware"]
AUTH_USER_MODEL = "auth.User"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
