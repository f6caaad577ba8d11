"""Real Kafka and Redis as child processes, and the supervisor of `manage.py up`; imports nothing of the engine's core."""
