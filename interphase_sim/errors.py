"""The two failures a user can meet; each carries the sentence to print and the exit code of the command."""


class InputError(ValueError):
    """Something the user gave cannot be used; the text is one clear sentence per problem."""

    exit_code = 2


class SolverFailure(RuntimeError):
    """The cell or column solver gave up after its whole retry ladder."""

    exit_code = 3
