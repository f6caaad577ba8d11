"""pytest finds the modules of this folder as `tests.runtime.…`, and so do the processes that they start."""
