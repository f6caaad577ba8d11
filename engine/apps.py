"""The engine as a Django app, which makes its management commands known; the core never imports Django."""

from django.apps import AppConfig


class EngineConfig(AppConfig):
    """Owns no models: the engine's state is in its stores and in Kafka."""

    name = "engine"
    verbose_name = "Statehouse engine"
