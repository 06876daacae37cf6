"""Pydantic's errors in our words: which key, what is wrong, what it should be. Shared by policies and their tests."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proxy.conditions import suggest
from proxy.policy.problems import Problem
from proxy.policy.source import Location, Source, describe


def explained(source: Source, error: ValidationError, model: type[BaseModel], at: Location = ()) -> list[Problem]:
    """The problems of `source` that `error` tells, which came of validating what stands at `at` as a `model`."""
    errors = [details for details in error.errors(include_url=False) if not _aftermath(details)]
    return [_explained(source, details, model, at) for details in errors]


def _aftermath(details: ErrorDetails) -> bool:
    """A list that counts as too short only because its items were wrong."""
    return details["type"] == "too_short" and bool(details["input"])


_WORDS: Final[Mapping[str, str]] = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
}


def _explained(source: Source, details: ErrorDetails, model: type[BaseModel], at: Location) -> Problem:
    location = tuple(item for item in details["loc"] if item != "[key]")
    return source.problem((*at, *location), _sentence(location, details, model))


def _sentence(location: Location, details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context, name = details["type"], details.get("ctx", {}), _name(location)
    if kind == "policy":
        message = str(context["message"])
        return f"{name}: {message}" if message.startswith(("not carried", "must")) else message
    if kind == "extra_forbidden":
        return f"unknown key '{location[-1]}'{suggest(str(location[-1]), _known(location[:-1], model))}"
    if kind == "missing":
        return f"key '{location[-1]}' is missing"
    if kind in _WORDS and (not location or isinstance(location[-1], int)) and "model" in kind:
        return f"must be {_WORDS[kind]}, not {describe(details['input'])}"
    if kind == "string_type" and isinstance(details["input"], bool | int | float):
        return f"{name} must be a text, not {describe(details['input'])}; put it in quotes"
    if kind in _WORDS:
        return f"{name} must be {_WORDS[kind]}, not {describe(details['input'])}"
    if kind == "too_short":
        return f"{name} must not be empty"
    return f"{name}: {details['msg'][0].lower()}{details['msg'][1:]}"


def _name(location: Location) -> str:
    """The key people wrote: the last name of the location."""
    return next((item for item in reversed(location) if isinstance(item, str)), "policy")


def _known(location: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """The keys of the mapping at `location` in a `model`."""
    for name in location:
        if isinstance(name, int):
            continue
        model = _model_of(model.model_fields[name].annotation)
    return list(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel]:
    """The model an annotation holds: itself, or the items of a tuple of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    (item, _) = annotation.__args__
    return _model_of(item)
