"""Measurements of the platform and its peers, interleaved in one run. `python -m benchmarks`; see README.md."""
