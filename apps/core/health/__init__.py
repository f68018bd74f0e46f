"""Liveness, readiness and metrics of this process, over HTTP."""
