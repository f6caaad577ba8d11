"""The self-check: what the console depends on, looked at in order, with what to do about what is wrong."""
