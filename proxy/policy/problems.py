"""What is wrong with a policy, said so that it can be mended: file, line, rule, sentence. Finds nothing itself."""

from typing import NamedTuple


class Problem(NamedTuple):
    """One mistake. `line` counts from 1, 0 where there is none; `subject` is `rule ID` or `budget ID`, or empty."""

    file: str
    line: int
    subject: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.subject}: {self.message}" if self.subject else f"{place}: {self.message}"


class PolicyError(ValueError):
    """A policy that cannot be used. `str()` gives every problem, one a line: `file:line: rule ID: message`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        super().__init__("\n".join(map(str, self.problems)))
