"""The two failures a user can meet, each with the sentence to print and the exit code of the command; a warning."""


class InputError(ValueError):
    """Something the user gave cannot be used; the text is one clear sentence per problem."""

    exit_code = 2


class ResultWarning(UserWarning):
    """Something that the reader of a stored result should know; commands print it on stderr."""


class SolverFailure(RuntimeError):
    """The cell or column solver gave up after its whole retry ladder."""

    exit_code = 3
