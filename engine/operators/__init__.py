"""What each operation of a topology does to a batch. One family a file; `processor.build` finds the right one."""
