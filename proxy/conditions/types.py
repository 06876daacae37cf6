"""The models of `events` as protobuf descriptors: the types against which conditions are checked at load.

Nothing here runs on traffic; protobuf is imported when the first condition is checked and never otherwise.
"""

from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from cel_expr_python import cel  # type: ignore[import-untyped]  # ships stubs, but no py.typed
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2
from pydantic import BaseModel

from proxy.events import Agent, FindingRef, Flow, Point, Request, Response, Tool

_PACKAGE: Final = "midstream"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final[dict[Any, int]] = {
    str: _FIELD.TYPE_STRING,
    int: _FIELD.TYPE_INT64,
    float: _FIELD.TYPE_DOUBLE,
    bool: _FIELD.TYPE_BOOL,
}


@dataclass(frozen=True, slots=True)
class Types:
    """The types of all variables: a descriptor pool for the library, and the fields by message for messages."""

    pool: descriptor_pool.DescriptorPool
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def variable(self, name: str, point: Point) -> cel.Type:
        """The type of one variable in the events of `point`."""
        if name in ("provider", "format", "model", "point"):
            return cel.Type.STRING
        if name == "turn":
            return cel.Type.INT
        if name == "findings":
            return cel.Type.List(cel.Type(f"{_PACKAGE}.Finding"))
        if name == "tool":
            return cel.Type(f"{_PACKAGE}.{'ToolCall' if point is Point.POST_TOOL_EXECUTION else 'Call'}")
        return cel.Type(f"{_PACKAGE}.{name.capitalize()}")


@cache
def environment_types() -> Types:
    """The types, built once a process."""
    types = Types(descriptor_pool.DescriptorPool())
    struct = descriptor_pb2.FileDescriptorProto()
    struct_pb2.DESCRIPTOR.CopyToProto(struct)
    types.pool.Add(struct)
    file = descriptor_pb2.FileDescriptorProto(
        name="midstream/event.proto", package=_PACKAGE, syntax="proto3", dependency=[struct.name]
    )
    for model in (Agent, Flow, Request, Response):
        _message(file, types, model.__name__, _fields(model))
    tool = _fields(Tool)
    _message(file, types, "ToolCall", tool)
    _message(file, types, "Call", {name: kind for name, kind in tool.items() if name != "result"})
    # A finding's keyed hash is made after the decision, so no condition can read it.
    _message(file, types, "Finding", {name: kind for name, kind in _fields(FindingRef).items() if name != "hash"})
    _message(file, types, "Session", {"id": str})
    _message(file, types, "Run", {"id": str})
    types.pool.Add(file)
    return types


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {info.serialization_alias or name: info.annotation for name, info in model.model_fields.items()}


def _message(file: descriptor_pb2.FileDescriptorProto, types: Types, name: str, fields: dict[str, Any]) -> None:
    """Add a message and, before it, the messages of its fields."""
    if name in types.fields:
        return
    types.fields[name] = tuple(fields)
    message = descriptor_pb2.DescriptorProto(name=name)
    for number, (field_name, annotation) in enumerate(fields.items(), 1):
        _field(file, types, message, field_name, number, _bare(annotation))
    file.message_type.append(message)


def _field(
    file: descriptor_pb2.FileDescriptorProto,
    types: Types,
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    annotation: Any,
) -> None:
    label = _FIELD.LABEL_OPTIONAL
    if get_origin(annotation) is tuple:
        label, annotation = _FIELD.LABEL_REPEATED, get_args(annotation)[0]
    added = message.field.add(name=name, number=number, label=label)
    if get_origin(annotation) is dict:
        _map(message, added, get_args(annotation)[1])
    elif annotation in _SCALARS:
        added.type = _SCALARS[annotation]  # type: ignore[assignment]  # protobuf's enum is an int at run time
    else:
        _message(file, types, annotation.__name__, _fields(annotation))
        added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{annotation.__name__}"


def _map(message: descriptor_pb2.DescriptorProto, added: Any, value: Any) -> None:
    """A map of anything is a Struct (CEL reads it as a map of dyn), a map of strings a map field."""
    added.type = _FIELD.TYPE_MESSAGE
    if value is not str:
        added.type_name = ".google.protobuf.Struct"
        return
    entry = message.nested_type.add(name=f"{added.name.capitalize()}Entry")
    entry.options.map_entry = True
    for number, name in ((1, "key"), (2, "value")):
        entry.field.add(name=name, number=number, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
    added.label, added.type_name = _FIELD.LABEL_REPEATED, f".{_PACKAGE}.{message.name}.{entry.name}"


def _bare(annotation: Any) -> Any:
    """The type without `| None`, and `str` for a choice of words."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
    return str if get_origin(annotation) is Literal else annotation
