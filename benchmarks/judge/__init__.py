"""The canary's judge beside its peers, over thousands of simulated rollouts: `python -m benchmarks.judge`. No stack, no database."""
