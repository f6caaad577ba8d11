"""Why a transaction does not count: what the producer raises where a commit has come to nothing.

All of them have the tasks go back to what was committed; they differ in what the loop does before it goes on.
"""

from engine.errors import RebuildTask


class TransactionAborted(RebuildTask):
    """The transaction cannot be committed: every task of the producer goes back to what was committed."""


class RebalanceOvertook(TransactionAborted):
    """The group moved on while this member committed, with it or without it: no fault, done again under what comes next.

    The broker counts generations up, and leaves silent members out, before it tells them, and the client does not say
    that it is on its way there, so a commit in between cannot be held back.
    """


class OutcomeUnknown(TransactionAborted):
    """Nobody here can tell whether the transaction was committed: ask the group, and replay the changelogs."""
