"""Measurements of the platform beside its peers, interleaved in one run. `python -m benchmarks`; see README.md."""
