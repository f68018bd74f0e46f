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
    """Until the input ends. Everybody has been asked before, so that the cookie says which side is theirs."""
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
    seen = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal seen
        seen += 1
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
            spent = time.perf_counter() - started
        print(spent / people, seen, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
