"""Opens one PDF from standard input and exits 0 when it has a page. Run as a process of its own by `content.py`.

A PDF of a few kilobytes can unfold to gigabytes while it is opened, so the kernel bounds memory and time here. Imports
nothing of the platform.
"""

import os
import resource
import sys

MEMORY_BYTES = 1024**3
CPU_SECONDS = 10


def main() -> int:
    """Return 0 for a whole PDF. Any other end, a kill included, means that it is none."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pikepdf

    with os.fdopen(0, "rb") as file, pikepdf.open(file) as pdf:
        return 0 if len(pdf.pages) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
