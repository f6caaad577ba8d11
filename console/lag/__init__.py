"""Lag: windows of samples, what they say (rate, time left, verdict), and their history. Pure, save for ``history``."""
