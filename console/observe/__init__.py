"""Observation: the status topic is read here and nowhere else, and becomes Redis (now), database (history) and pings."""
