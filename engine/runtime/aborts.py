"""Why a transaction does not count: what the producer raises where a commit has come to nothing.

All of them have the tasks go back to what was committed; they differ in what the loop does before it goes on.
"""

from engine.errors import RebuildTask


class TransactionAborted(RebuildTask):
    """The transaction cannot be committed: every task of the producer goes back to what was committed."""


class RebalanceOvertook(TransactionAborted):
    """The group moved on to another generation while this one committed: no fault, done again under the new one.

    The broker counts generations up before it tells the members, and the client does not say that it is on its way
    there, so a commit in between cannot be held back.
    """


class OutcomeUnknown(TransactionAborted):
    """Nobody here can tell whether the transaction was committed: ask the group, and replay the changelogs."""
