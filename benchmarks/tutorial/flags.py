"""Times waffle's own check of one flag: for each line of input, a line with seconds a check and queries in all."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import django

NAME = "contracts_remote"
COOKIE = f"dwf_{NAME}"


def main(people: int, percent: int) -> None:
    """Time a batch for each line of input. Each person was drawn before, so that the cookie names their side."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.tutorial.flag_settings"
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.http import HttpRequest
    from waffle import flag_is_active
    from waffle.models import Flag

    call_command("migrate", verbosity=0)
    Flag.objects.create(name=NAME, percent=percent, superusers=False)
    queries = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    for _ in sys.stdin:
        requests = []
        for number in range(1, people + 1):
            request: Any = HttpRequest()
            request.user = User(pk=number)
            request.COOKIES = {COOKIE: str(number % 100 < percent)}
            requests.append(request)
        flag_is_active(requests[0], NAME)
        with connection.execute_wrapper(count):
            started = time.perf_counter()
            for request in requests:
                flag_is_active(request, NAME)
            seconds = time.perf_counter() - started
        print(seconds / people, queries, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
