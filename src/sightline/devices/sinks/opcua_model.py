"""The station's node model, in a namespace of its own: names, types, states, methods.

It has the shape of OPC 40100-1 (Machine Vision) and its browse names, but is not that companion's: node ids are made
here, and methods take strings where the companion has structures. docs/how-to/sinks/opcua.md lists what differs.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sightline.core.signals import Status
from sightline.devices.sinks.port import TEXT_MAX

FINITE_STATE_MACHINE, STATE, TRANSITION = 2771, 2307, 2310  # types of the base namespace
FROM_STATE, TO_STATE = 51, 52  # references of a transition


class StateMachine:
    """One machine on an asyncua server: `node` is its object. No state ("") is while the machine above is elsewhere."""

    def __init__(self, ua: Any, index: int, node: Any) -> None:
        self._ua, self._index, self.node = ua, index, node
        self._states: dict[str, Any] = {}
        self._transitions: dict[tuple[str, str], Any] = {}
        self._state = ""
        self._current: Any = None
        self._last: Any = None
        self._stamp: Any = None

    @classmethod
    async def add(cls, ua: Any, server: Any, index: int, parent: Any, name: str, states: Sequence[str]) -> StateMachine:
        """A machine of a type of its own below `parent`, in no state."""
        base = server.get_node(ua.NodeId(FINITE_STATE_MACHINE))
        kind = await base.add_object_type(*node_name(ua, index, f"{name}Type"))
        node = await parent.add_object(*node_name(ua, index, name), kind.nodeid, instantiate_optional=True)
        machine = cls(ua, index, node)
        for number, state in enumerate(states, 1):
            machine_state = machine._states[state] = await node.add_object(
                *node_name(ua, index, name, state), ua.NodeId(STATE)
            )
            value = ua.Variant(number, ua.VariantType.UInt32)
            await (await machine_state.get_child("0:StateNumber")).write_value(value)
        machine._current = await node.get_child("0:CurrentState")
        machine._last = await node.get_child("0:LastTransition")
        stamp = ua.Variant(datetime.datetime.now(datetime.UTC), ua.VariantType.DateTime)
        where = ua.NodeId(f"{name}.LastTransition.TransitionTime", index), ua.QualifiedName("TransitionTime", 0)
        machine._stamp = await machine._last.add_property(*where, stamp)
        for old in states:
            for new in states:
                if new != old:
                    await machine._add_transition(name, old, new)
        await machine._write(machine._current, "", None)
        await machine._write(machine._last, "", None)
        return machine

    async def go(self, state: str) -> None:
        """Be in another state, or in none; the transition is told where there was a state before."""
        old, self._state = self._state, state
        if state == old:
            return
        if old and state:
            now = self._ua.Variant(datetime.datetime.now(datetime.UTC), self._ua.VariantType.DateTime)
            await self._stamp.write_value(now)
            await self._write(self._last, f"{old}To{state}", self._transitions[old, state])
        await self._write(self._current, state, self._states.get(state))

    async def _write(self, variable: Any, text: str, node: Any) -> None:
        """A state or transition: its name, and the id of its node, null for none."""
        ua = self._ua
        node_id = ua.NodeId() if node is None else node.nodeid
        await (await variable.get_child("0:Id")).write_value(ua.Variant(node_id, ua.VariantType.NodeId))
        await variable.write_value(ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText))

    async def _add_transition(self, name: str, old: str, new: str) -> None:
        ua = self._ua
        node = await self.node.add_object(*node_name(ua, self._index, name, f"{old}To{new}"), ua.NodeId(TRANSITION))
        number = ua.Variant(len(self._transitions) + 1, ua.VariantType.UInt32)
        await (await node.get_child("0:TransitionNumber")).write_value(number)
        await node.add_reference(self._states[old].nodeid, ua.NodeId(FROM_STATE), True, False)
        await node.add_reference(self._states[new].nodeid, ua.NodeId(TO_STATE), True, False)
        self._transitions[old, new] = node


def node_name(ua: Any, index: int, *path: str) -> tuple[Any, Any]:
    """Id and browse name of a node: the path below the vision system, and its last name."""
    return ua.NodeId(".".join(path), index), ua.QualifiedName(path[-1], index)


NAMESPACE = "urn:sightline:station"
RESULTS = 32  # results that can be read; the oldest go
STATES = ("Preoperational", "Halted", "Error", "Operational")
STEPS = ("Initialized", "Ready", "SingleExecution", "ContinuousExecution")
EVENTS: dict[str, tuple[str, ...]] = {
    "ResultReadyEventType": (
        "ResultId",
        "PartId",
        "ExternalRecipeId",
        "JobId",
        "IsPartial",
        "IsSimulated",
        "ResultState",
        "ResultContent",
    ),
    "StateChangedEventType": ("FromState", "ToState"),
    "ReadyEventType": (),
    "JobStartedEventType": ("JobId",),
    "AcquisitionDoneEventType": ("JobId", "PartId"),
    "ErrorEventType": ("ErrorCode", "Reason"),
    "RecipePreparedEventType": ("ExternalRecipeId", "IsCompleted"),
}
METHODS: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # folder: method: names of inputs, names of outputs; all outputs end with Error and Reason
    "VisionStateMachine": dict.fromkeys(("Reset", "ConfirmAll", "SelectModeAutomatic", "Halt"), ((), ())),
    "AutomaticModeStateMachine": {
        "StartSingleJob": (("PartId", "RecipeId"), ("JobId",)),
        "StartContinuous": (("RecipeId",), ("JobId",)),
        "Stop": ((), ()),
        "Abort": ((), ()),
    },
    "RecipeManagement": {
        "PrepareRecipe": (("ExternalId",), ("InternalId",)),
        "UnprepareRecipe": (("ExternalId",), ()),
        "GetRecipeListFiltered": (
            ("ExternalId", "IsPrepared", "MaxResults", "StartIndex"),
            ("IsComplete", "ResultCount", "Recipes"),
        ),
    },
    "ResultManagement": {
        "GetResultById": (("ResultId",), ("Result",)),
        "GetResultListFiltered": (
            ("ResultState", "PartId", "ExternalRecipeId", "JobId", "MaxResults", "StartIndex"),
            ("IsComplete", "ResultCount", "Results"),
        ),
    },
}
KINDS = {  # of fields and arguments by their name; all others are String
    "Error": "Int32",
    "ErrorCode": "Int32",
    "ResultState": "Int32",
    "IsPrepared": "Int32",
    "MaxResults": "UInt32",
    "StartIndex": "UInt32",
    "ResultCount": "UInt32",
    "IsComplete": "Boolean",
    "IsCompleted": "Boolean",
    "IsPartial": "Boolean",
    "IsSimulated": "Boolean",
}
LONGEST = dict.fromkeys(("PartId", "RecipeId", "ExternalId"), TEXT_MAX)  # characters of an input
STEP_EVENTS = {
    "Ready": "ReadyEventType",
    "SingleExecution": "JobStartedEventType",
    "ContinuousExecution": "JobStartedEventType",
}
CONTENTS = ("ResultId", "PartId", "ExternalRecipeId", "ResultState", "ResultContent")
Call = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]


def states(status: Status | None, halted: bool) -> tuple[str, str]:
    """State and step of the station's status: None is before the first one."""
    if halted:
        return "Halted", ""
    if status is None:
        return "Preoperational", ""
    if status.error:
        return "Error", ""
    if status.continuous:
        return "Operational", "ContinuousExecution"
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
        self._machines: list[StateMachine] = []
        self._state = ("", "")
        self._changeovers: int | None = None  # of which was told
        self._acquired = ""  # the part of whose pictures was told
        self._order = asyncio.Lock()  # one change after the other, or the last one written might be an older one

    async def build(self, station: str, call: Call) -> None:
        """Create all nodes; `call(method, inputs)` answers method calls with the values of their outputs."""
        ua, index, server = self._ua, self._index, self._server
        for name, fields in EVENTS.items():
            kind = await server.nodes.base_event_type.add_object_type(*node_name(ua, index, name))
            for field in fields:
                value = ua.get_default_value(self._kind(field))
                await kind.add_property(*node_name(ua, index, name, field), value, varianttype=self._kind(field))
            self._events[name] = kind
        kind = await server.nodes.base_object_type.add_object_type(*node_name(ua, index, "VisionSystemType"))
        # Its name is a setting, its id is not.
        where = ua.NodeId("VisionSystem", index), ua.QualifiedName(station, index)
        root = self._nodes["VisionSystem"] = await server.nodes.objects.add_object(*where, kind.nodeid)
        await root.write_attribute(ua.AttributeIds.EventNotifier, ua.DataValue(ua.Variant(1, ua.VariantType.Byte)))
        for name in ("RecipeManagement", "ResultManagement"):
            self._nodes[name] = await root.add_object(*node_name(ua, index, name))
        parent = root
        for name, own in (("VisionStateMachine", STATES), ("AutomaticModeStateMachine", STEPS)):
            self._machines.append(await StateMachine.add(ua, server, index, parent, name, own))
            parent = self._nodes[name] = self._machines[-1].node
        for folder, methods in METHODS.items():
            for name, (inputs, outputs) in methods.items():
                await self._add_method(folder, name, inputs, (*outputs, "Error", "Reason"), call)
        await self._add_variable("Recipe", "RecipeManagement", "ActiveRecipe")
        await self._add_variable("Error", "VisionSystem", "ErrorCode")
        await self._add_variable("Reason", "VisionSystem", "Reason")
        path = ["ResultManagement"]
        for name in ("Results", "LatestResult"):
            path.append(name)
            self._nodes[name] = await self._nodes[path[-2]].add_object(*node_name(ua, index, *path))
        for name in CONTENTS:
            await self._add_variable(f"Latest.{name}", "LatestResult", name)
        self._events = {name: await server.get_event_generator(event, root) for name, event in self._events.items()}

    async def show(self, status: Status | None, halted: bool) -> None:
        """Write the state of the machine and the active recipe, with an event on each change."""
        async with self._order:
            await self._show(status, halted)

    async def present(self, values: dict[str, Any]) -> None:
        """Make one result readable and tell of it. `values` are the fields of ResultReadyEventType."""
        async with self._order:  # after what was shown before it: its pictures first
            self._results = [*self._results, values][-RESULTS:]
            for name in CONTENTS:
                await self._nodes[f"Latest.{name}"].write_value(values[name], self._kind(name))
            await self._fire("ResultReadyEventType", **values)

    def result(self, result_id: str) -> str | None:
        """Content of a result that is still kept."""
        return next((str(r["ResultContent"]) for r in self._results if r["ResultId"] == result_id), None)

    def results(self, wanted: Mapping[str, Any]) -> list[str]:
        """Ids of the results that are still kept, the oldest first, whose fields are as `wanted`; "" and 0: any."""
        return [
            str(result["ResultId"])
            for result in self._results
            if all(value in ("", 0, result[name]) for name, value in wanted.items())
        ]

    async def _show(self, status: Status | None, halted: bool) -> None:
        new, old = states(status, halted), self._state
        if new != old:
            self._state = new
            for machine, state in zip(self._machines, new, strict=True):
                await machine.go(state)
            await self._fire("StateChangedEventType", FromState="/".join(old), ToState="/".join(new))
            step = STEP_EVENTS.get(new[1])
            if step is not None:
                job = {"JobId": status.job} if status is not None and "JobId" in EVENTS[step] else {}
                await self._fire(step, **job)
        if status is None:
            return
        if status.error and await self._nodes["Error"].read_value() != status.error:
            await self._fire("ErrorEventType", ErrorCode=status.error, Reason=status.reason)
        await self._nodes["Error"].write_value(status.error, self._ua.VariantType.Int32)
        await self._nodes["Reason"].write_value(status.reason)
        await self._nodes["Recipe"].write_value(status.recipe)
        acquired = status.part_id if status.acquired else ""
        if acquired and acquired != self._acquired:
            await self._fire("AcquisitionDoneEventType", JobId=status.job, PartId=acquired)
        self._acquired = acquired
        if self._changeovers is None:
            self._changeovers = status.changeovers  # what was before the server is no news
        if status.changeovers != self._changeovers and status.recipe and (status.ready or status.busy):
            # Only now it is true: the recipe is active, and parts can be judged with it.
            self._changeovers = status.changeovers
            await self._fire("RecipePreparedEventType", ExternalRecipeId=status.recipe, IsCompleted=True)

    async def _fire(self, name: str, **values: Any) -> None:
        generator = self._events[name]
        for field, value in values.items():
            setattr(generator.event, field, value)
        generator.event.Severity = 500
        await generator.trigger(message=name)

    def _kind(self, name: str) -> Any:
        return getattr(self._ua.VariantType, KINDS.get(name, "String"))

    async def _add_variable(self, key: str, folder: str, name: str) -> None:
        where, kind = node_name(self._ua, self._index, folder, name), self._kind(name)
        value = 0 if kind is self._ua.VariantType.Int32 else ""
        self._nodes[key] = await self._nodes[folder].add_variable(*where, value, kind)

    async def _add_method(
        self, folder: str, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], call: Call
    ) -> None:
        ua, index = self._ua, self._index

        async def answer(_parent: Any, *given: Any) -> Any:
            if len(given) != len(inputs):
                few = len(given) < len(inputs)
                return ua.StatusCode(ua.StatusCodes.BadArgumentsMissing if few else ua.StatusCodes.BadTooManyArguments)
            values = {label: _read(value.Value, label) for label, value in zip(inputs, given, strict=True)}
            if None in values.values():
                return ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
            results = await call(name, values)
            return [ua.Variant(value, self._kind(label)) for label, value in zip(outputs, results, strict=True)]

        def argument(label: str) -> Any:
            argument = ua.Argument()
            argument.Name, argument.DataType, argument.ValueRank = label, ua.NodeId(self._kind(label).value), -1
            return argument

        method = await self._nodes[folder].add_method(*node_name(ua, index, folder, name), answer)
        for label, names in (("InputArguments", inputs), ("OutputArguments", outputs)):
            if names:
                where = ua.NodeId(f"{folder}.{name}.{label}", index), ua.QualifiedName(label, 0)
                kinds = ua.VariantType.ExtensionObject, ua.NodeId(ua.ObjectIds.Argument)
                await method.add_property(*where, [argument(one) for one in names], *kinds)


def _read(value: Any, name: str) -> Any:
    """An input as its kind has it; None where it cannot be. Clients send whole numbers in many widths."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if KINDS.get(name) is None:
        text = "" if value is None else str(value).strip()
        known = value is None or whole or isinstance(value, str)
        return text if known and len(text) <= LONGEST.get(name, 1000) else None
    return value if whole and value >= 0 else None
