"""The one error a user of ``manage.py up`` sees: what happened and what to do, in a sentence each, never a traceback."""


class StartFailure(Exception):
    """A part can't start on this machine, now. The text is complete: cause, then remedy; print it and exit with 1."""
