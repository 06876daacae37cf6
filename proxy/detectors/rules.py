"""What a rule file may say: typed, validated at load, compiled once.

Rules are data (`secrets.yaml`, `pii.yaml`, `pseudonym.yaml`, `injection.yaml`). Nothing here scans. The core
`pattern` of a rule is what Hyperscan looks for; `not_before` and `not_after` are classes of characters that may not
touch the match, and only the exact expression has them. So the prefilter finds a superset by construction, and every
pattern is free of look-arounds, anchors and back-references: linear, whatever the text.
"""

import re
from functools import cached_property
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from proxy.detectors.checks import Check, check

_FORBIDDEN = re.compile(r"\(\?(?:[=!>]|<[=!])|(?<!\\)\\[bBAZ1-9]|\(\?P=|[*+?}]\+")
"""Constructs that Hyperscan lacks, or that could match less than Python's."""

type Sample = str | list[str]
"""An example text. A list is joined: the file then holds no string that another scanner takes for a live secret."""


def joined(sample: Sample) -> str:
    """The text of a sample."""
    return sample if isinstance(sample, str) else "".join(sample)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class Rule(_Frozen):
    """One recognisable thing. The found span is the group `value`, or the whole match without one."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    kind: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    pattern: str
    not_before: str = ""
    """Inner part of a character class: no such character may stand before the match."""
    not_after: str = ""
    ignore_case: bool = False
    context: bool = False
    """The match may begin in the text before the segment (a keyword before its value)."""
    validators: tuple[str, ...] = ()
    """Names of `checks`, all of which must hold: `luhn`, `entropy>=3.5` …"""
    confirm: str | None = None
    """A check that decides the score, not the finding: 1.0 where it holds, else 0.8."""
    extend: Literal["pem"] | None = None
    heuristic: bool = False
    """Rests on entropy and context alone: left out when the policy says `entropy: false`."""
    description: str = Field(min_length=20)
    """What somebody who reads the value could do."""
    examples: tuple[Sample, ...] = Field(min_length=2)
    negatives: tuple[Sample, ...] = Field(min_length=2)
    references: tuple[str, ...] = Field(min_length=1)

    @field_validator("pattern")
    @classmethod
    def _plain(cls, pattern: str) -> str:
        if found := _FORBIDDEN.search(pattern):
            raise ValueError(f"{found.group()!r} may not stand in a pattern; use not_before and not_after")
        return pattern

    @field_validator("validators")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            check(name)
        return names

    @cached_property
    def exact(self) -> re.Pattern[str]:
        """The expression that decides, boundaries included. ASCII classes, as Hyperscan reads them."""
        before = f"(?<![{self.not_before}])" if self.not_before else ""
        after = f"(?![{self.not_after}])" if self.not_after else ""
        flags = re.ASCII | (re.IGNORECASE if self.ignore_case else 0)
        return re.compile(f"{before}(?:{self.pattern}){after}", flags)

    @cached_property
    def group(self) -> int:
        """Number of the group whose span is found; 0 is the whole match."""
        return self.exact.groupindex.get("value", 0)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """The validators, looked up once."""
        return tuple(check(name) for name in self.validators)

    def score(self, value: str) -> float | None:
        """None if a validator says no; else how sure the rule is: 1.0 for a format, less where only context speaks."""
        if not all(holds(value) for holds in self.checks):
            return None
        if self.heuristic:
            return 0.6
        return 1.0 if self.confirm is None or check(self.confirm)(value) else 0.8


class Signal(_Frozen):
    """One trait of an injected instruction. Weights of different groups in one passage combine as 1 - Π(1 - weight)."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    group: str
    """Signals of one group say the same thing; the strongest counts."""
    pattern: str
    weight: float = Field(gt=0, le=1)
    description: str = Field(min_length=20)
    examples: tuple[Sample, ...] = Field(min_length=2)
    negatives: tuple[Sample, ...] = Field(min_length=2)
    references: tuple[str, ...] = Field(min_length=1)

    @field_validator("pattern")
    @classmethod
    def _plain(cls, pattern: str) -> str:
        if found := re.search(r"\(\?(?:[=!>]|<[=!])|\(\?P=|\\[1-9]", pattern):
            raise ValueError(f"{found.group()!r} may not stand in a pattern")
        return " ".join(pattern.split())

    @cached_property
    def exact(self) -> re.Pattern[str]:
        """The expression in Python; ASCII classes, as Hyperscan reads them."""
        return re.compile(self.pattern, re.ASCII | re.IGNORECASE)


class _RuleFile(_Frozen):
    rules: tuple[Rule, ...]


class _SignalFile(_Frozen):
    rules: tuple[Signal, ...]


def _read(name: str) -> object:
    return yaml.safe_load(files(__package__).joinpath(name).read_text(encoding="utf-8"))


_FILES = {"secret": "secrets.yaml", "pii": "pii.yaml", "pseudonym": "pseudonym.yaml"}


def rules(cls: str) -> tuple[Rule, ...]:
    """The rules of a class: secret, pii or pseudonym. Raises pydantic.ValidationError for a bad file."""
    return _RuleFile.model_validate(_read(_FILES[cls])).rules


def signals() -> tuple[Signal, ...]:
    """The signals of class injection."""
    return _SignalFile.model_validate(_read("injection.yaml")).rules
