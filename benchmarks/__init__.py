"""Benchmarks: truecount against the raw limit, in the same run, as ratios."""
