"""Running a topology: tasks, membership, the loop, the commit. The record's way is read in `loop`."""
