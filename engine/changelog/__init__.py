"""Changelogs: their names and settings, writing them at a commit, and building stores from them again.

`restore` is also a library of its own: Celery workers call it without an engine, so nothing here knows the runtime.
"""
