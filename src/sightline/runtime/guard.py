"""What a recipe file may contain: standard ONNX operators on data of its own, and nothing that reads, loops or loads.

Protobuf's wire format is read here directly (https://protobuf.dev/programming-guides/encoding), field numbers are those
of onnx.proto: the line has no onnx package, and a file from elsewhere has to be looked at before any engine parses it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sightline.core.errors import RecipeError

MAX_BYTES = 2**31 - 1  # what protobuf can hold
MAX_NODES = 20_000
STANDARD = frozenset((b"", b"ai.onnx"))
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
MAX_TAG = 2**32 - 1  # readers keep the lower 32 bits: what is wider would be another field to them than to us
OTHER_FORMAT = b"ORTM"  # ONNX Runtime's own format, which it knows by the bytes 4 to 7, whatever else the file is

MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_OP, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE = (22, 23)
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14

Field = tuple[int, int, int, int]  # number, wire type, begin, end (of a varint: its value in `begin`)


def check_graph(data: bytes, name: str = "recipe") -> None:
    """Refuse a model with operators that are not ONNX's own, subgraphs (loops), functions, or data in other files.

    Raises RecipeError that says what was found; the time is a few milliseconds, whatever the file's size.
    """
    if len(data) > MAX_BYTES:
        raise RecipeError(
            f"{name}: {len(data) / 2**30:.1f} GB are too large for a recipe. Train one with a smaller bank"
        )
    if data[4:8] == OTHER_FORMAT:
        raise _refused(name, "the signature of a format other than ONNX")
    view = memoryview(data)
    try:
        _check_model(view, name)
    except (IndexError, ValueError) as error:
        raise RecipeError(f"{name}: not a valid ONNX file ({error}). Train or copy the recipe again") from error


def _check_model(view: memoryview, name: str) -> None:
    graphs = 0
    for number, kind, begin, end in fields(view, 0, len(view)):
        if number == MODEL_FUNCTIONS:
            raise _refused(name, "its own functions")
        if number == MODEL_GRAPH and kind == BYTES:
            graphs += 1
            _check_graph(view, begin, end, name)
    if graphs != 1:
        raise RecipeError(f"{name}: {graphs} graphs where one belongs. Train or copy the recipe again")


def _check_graph(view: memoryview, begin: int, end: int, name: str) -> None:
    nodes = 0
    for number, kind, first, last in fields(view, begin, end):
        if kind != BYTES:
            continue  # no reader takes a field of another kind than its own
        if number == GRAPH_NODE:
            nodes += 1
            if nodes > MAX_NODES:
                raise _refused(name, f"more than {MAX_NODES} operators")
            _check_node(view, first, last, name)
        elif number == GRAPH_INITIALIZER:
            _check_tensor(view, first, last, name)
        elif number == GRAPH_SPARSE:
            raise _refused(name, "sparse numbers")


def _check_node(view: memoryview, begin: int, end: int, name: str) -> None:
    operator, domain = b"", b""
    for number, kind, first, last in fields(view, begin, end):
        if kind != BYTES:
            continue
        if number == NODE_OP:
            operator = bytes(view[first:last])
        elif number == NODE_DOMAIN:
            domain = bytes(view[first:last])
        elif number == NODE_ATTRIBUTE:
            _check_attribute(view, first, last, name)
    if domain not in STANDARD:
        raise _refused(name, f"the operator {_text(domain)}.{_text(operator)}, which is not one of ONNX's own")


def _check_attribute(view: memoryview, begin: int, end: int, name: str) -> None:
    for number, kind, first, last in fields(view, begin, end):
        if kind != BYTES:
            continue
        if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            raise _refused(name, "a graph inside an operator (a loop or a branch)")
        if number in ATTRIBUTE_SPARSE:
            raise _refused(name, "sparse numbers")
        if number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
            _check_tensor(view, first, last, name)


def _check_tensor(view: memoryview, begin: int, end: int, name: str) -> None:
    for number, kind, value, _ in fields(view, begin, end):
        if number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and kind == VARINT and value):
            raise _refused(name, "numbers stored in another file")


def fields(view: memoryview, begin: int, end: int) -> Iterator[Field]:
    """The fields of a protobuf message between two places. Raises ValueError or IndexError for what is none."""
    position = begin
    while position < end:
        tag, position = _varint(view, position)
        if tag > MAX_TAG:
            raise ValueError("a field's number is too large")
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = _varint(view, position)
            yield number, kind, value, value
            continue
        if kind == BYTES:
            size, position = _varint(view, position)
        elif kind in (FIXED_64, FIXED_32):
            size = 8 if kind == FIXED_64 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if not number or position + size > end:
            raise ValueError("a field that goes beyond the end")
        yield number, kind, position, position + size
        position += size


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number that does not end")


def _text(data: bytes) -> str:
    return data[:64].decode("ascii", "replace")


def _refused(name: str, what: str) -> RecipeError:
    return RecipeError(f"{name}: has {what}, which no recipe needs, so it is not opened. Train the recipe again")
