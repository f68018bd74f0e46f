"""Simulates the canary's judge and its peers over thousands of rollouts, without a stack or a database.

Run it by `python -m benchmarks.judge`.
"""
