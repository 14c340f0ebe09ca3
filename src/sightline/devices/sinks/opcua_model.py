"""The node model of OPC 40100-1 (Machine Vision, 1.0), as far as the station serves it: names, types, states, methods.

The companion's own XML is not shipped; the nodes are built here under its namespace and browse names, and methods take
strings where the companion has structures. docs/how-to/sinks/opcua.md lists them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sightline.core.status import Status

NAMESPACE = "http://opcfoundation.org/UA/MachineVision"
RESULTS = 32  # results that can be read; the oldest go
STATES = ("Preoperational", "Halted", "Error", "Operational")
STEPS = ("Initialized", "Ready", "SingleExecution", "ContinuousExecution")
EVENTS: dict[str, dict[str, str]] = {
    "ResultReadyEventType": {
        "ResultId": "String",
        "PartId": "String",
        "ExternalRecipeId": "String",
        "JobId": "String",
        "IsPartial": "Boolean",
        "IsSimulated": "Boolean",
        "ResultState": "Int32",
        "ResultContent": "String",
    },
    "StateChangedEventType": {"FromState": "String", "ToState": "String"},
    "RecipePreparedEventType": {"ExternalRecipeId": "String", "IsCompleted": "Boolean"},
}
METHODS: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # folder: method: names of string inputs, names of outputs (Error is Int32, others String)
    "VisionStateMachine": {"Reset": ((), ("Error",)), "Halt": ((), ("Error",))},
    "AutomaticModeStateMachine": {"StartSingleJob": (("PartId", "RecipeId"), ("JobId", "Error"))},
    "RecipeManagement": {
        "PrepareRecipe": (("ExternalId",), ("InternalId", "Error")),
        "UnprepareRecipe": (("ExternalId",), ("Error",)),
    },
    "ResultManagement": {"GetResultById": (("ResultId",), ("Result", "Error"))},
}
CONTENTS = ("ResultId", "PartId", "ExternalRecipeId", "ResultState", "ResultContent")


def states(status: Status | None, halted: bool) -> tuple[str, str]:
    """State and step of the station's status: None is before the first one."""
    if halted:
        return "Halted", ""
    if status is None:
        return "Preoperational", ""
    if status.error:
        return "Error", ""
    if status.busy:
        return "Operational", "SingleExecution"
    return "Operational", "Ready" if status.ready else "Initialized"


class Model:
    """The nodes of one station on an asyncua server. All methods run in the server's loop."""

    def __init__(self, ua: Any, server: Any, index: int) -> None:
        self._ua, self._server, self._index = ua, server, index
        self._nodes: dict[str, Any] = {}
        self._events: dict[str, Any] = {}
        self._results: list[dict[str, Any]] = []
        self._state = ("", "")
        self._order = asyncio.Lock()  # one change after the other, or the last one written might be an older one

    async def build(self, station: str, call: Callable[[str, list[str]], Awaitable[list[Any]]]) -> None:
        """Create all nodes; `call(method, texts)` answers method calls with the values of their outputs."""
        ua, index, server = self._ua, self._index, self._server
        for name, fields in EVENTS.items():
            kinds = [(field, getattr(ua.VariantType, kind)) for field, kind in fields.items()]
            self._events[name] = await server.create_custom_event_type(index, name, ua.ObjectIds.BaseEventType, kinds)
        kind = await server.nodes.base_object_type.add_object_type(index, "VisionSystemType")
        root = self._nodes["VisionSystem"] = await server.nodes.objects.add_object(index, station, kind)
        await root.write_attribute(ua.AttributeIds.EventNotifier, ua.DataValue(ua.Variant(1, ua.VariantType.Byte)))
        for name in ("VisionStateMachine", "RecipeManagement", "ResultManagement"):
            self._nodes[name] = await root.add_object(index, name)
        machine = self._nodes["VisionStateMachine"]
        self._nodes["AutomaticModeStateMachine"] = await machine.add_object(index, "AutomaticModeStateMachine")
        for folder, methods in METHODS.items():
            for name, (inputs, outputs) in methods.items():
                await self._add_method(self._nodes[folder], name, inputs, outputs, call)
        for folder in ("VisionStateMachine", "AutomaticModeStateMachine"):
            text = ua.Variant(ua.LocalizedText(""), ua.VariantType.LocalizedText)
            self._nodes[f"{folder}.State"] = await self._nodes[folder].add_variable(index, "CurrentState", text)
        self._nodes["Recipe"] = await self._nodes["RecipeManagement"].add_variable(index, "ActiveRecipe", "")
        self._nodes["Error"] = await root.add_variable(index, "ErrorCode", 0, ua.VariantType.Int32)
        results = await self._nodes["ResultManagement"].add_object(index, "Results")
        latest = await results.add_object(index, "LatestResult")
        for name in CONTENTS:
            value = ua.Variant(0, ua.VariantType.Int32) if name == "ResultState" else ua.Variant("")
            self._nodes[f"Latest.{name}"] = await latest.add_variable(index, name, value)
        self._events = {name: await server.get_event_generator(event, root) for name, event in self._events.items()}

    async def show(self, status: Status | None, halted: bool) -> None:
        """Write the state of the machine and the active recipe, with an event on each change."""
        async with self._order:
            await self._show(status, halted)

    async def present(self, values: dict[str, Any]) -> None:
        """Make one result readable and tell of it. `values` are the fields of ResultReadyEventType."""
        self._results = [*self._results, values][-RESULTS:]
        for name in CONTENTS:
            kind = self._ua.VariantType.Int32 if name == "ResultState" else self._ua.VariantType.String
            await self._nodes[f"Latest.{name}"].write_value(values[name], kind)
        await self._fire("ResultReadyEventType", **values)

    def result(self, result_id: str) -> str | None:
        """Content of a result that is still kept."""
        return next((str(r["ResultContent"]) for r in self._results if r["ResultId"] == result_id), None)

    async def _show(self, status: Status | None, halted: bool) -> None:
        new, old = states(status, halted), self._state
        if new != old:
            self._state = new
            for folder, text in zip(("VisionStateMachine", "AutomaticModeStateMachine"), new, strict=True):
                await self._nodes[f"{folder}.State"].write_value(self._ua.LocalizedText(text))
            await self._fire("StateChangedEventType", FromState="/".join(old), ToState="/".join(new))
        if status is None:
            return
        await self._nodes["Error"].write_value(status.error, self._ua.VariantType.Int32)
        if await self._nodes["Recipe"].read_value() != status.recipe:
            await self._nodes["Recipe"].write_value(status.recipe)
            await self._fire("RecipePreparedEventType", ExternalRecipeId=status.recipe, IsCompleted=True)

    async def _fire(self, name: str, **values: Any) -> None:
        generator = self._events[name]
        for field, value in values.items():
            setattr(generator.event, field, value)
        generator.event.Severity = 500
        await generator.trigger(message=name)

    async def _add_method(
        self,
        folder: Any,
        name: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        call: Callable[[str, list[str]], Awaitable[list[Any]]],
    ) -> None:
        ua = self._ua
        kinds = [ua.VariantType.Int32 if output == "Error" else ua.VariantType.String for output in outputs]

        async def answer(_parent: Any, *given: Any) -> list[Any]:
            texts = ["" if value.Value is None else str(value.Value) for value in given]
            values = await call(name, (texts + [""] * len(inputs))[: len(inputs)])
            return [ua.Variant(value, kind) for value, kind in zip(values, kinds, strict=True)]

        def argument(label: str, kind: Any) -> Any:
            made = ua.Argument()
            made.Name, made.DataType, made.ValueRank = label, ua.NodeId(kind.value), -1
            return made

        taken = [argument(label, ua.VariantType.String) for label in inputs]
        given = [argument(label, kind) for label, kind in zip(outputs, kinds, strict=True)]
        await folder.add_method(self._index, name, answer, taken, given)
