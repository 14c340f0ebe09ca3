"""A finite state machine of OPC UA (OPC 10000-16): states and transitions are nodes, told by their ids.

Node ids are paths of names, so that they stay where the model grows: clients keep them.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

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
