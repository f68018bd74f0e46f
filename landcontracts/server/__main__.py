"""`python -m landcontracts.server --bind 127.0.0.1:8000`: the web server, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
import sys

from landcontracts.server import supervisor
from landcontracts.server.options import Options, inner_of


def main(arguments: list[str]) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="landcontracts.server", description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1:8000", help="host:port, or unix:///path of a socket")
    parser.add_argument(
        "--inner",
        default=os.environ.get("INNER_BIND", ""),
        help="a second address, for the operator: metrics, the whole /readyz; else the next port on loopback",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes; each has the threads below")
    parser.add_argument("--threads", type=int, default=16, help="requests answered at a time by one process")
    parser.add_argument("--heavy-threads", type=int, default=4, help="expensive requests answered at a time")
    parser.add_argument(
        "--application", default="landcontracts.wsgi:application", help="module:name of a WSGI function"
    )
    try:
        options = Options(**vars(parser.parse_args(arguments)))
        return supervisor.run(options._replace(inner=options.inner or inner_of(options.bind)))
    except (OSError, ValueError) as error:
        print(f"The server did not start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
