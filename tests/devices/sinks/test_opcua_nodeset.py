"""The NodeSet of the OPC UA server: what a tool reads from the file is what the running station serves."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner

from sightline.cli.app import app
from sightline.core.signals import ErrorCode, Status
from sightline.devices.sinks.opcua_model import METHODS, NAMESPACE
from sightline.devices.sinks.opcua_nodeset import write_nodeset
from sightline.devices.sinks.table import open_sink, read_sink

INPUTS = {
    "StartSingleJob": ["P1", ""],
    "StartContinuous": [""],
    "PrepareRecipe": ["7"],
    "UnprepareRecipe": ["7"],
    "GetRecipeListFiltered": ["", 2, 0, 0],
    "GetResultById": ["none"],
    "GetResultListFiltered": [0, "", "", "", 0, 0],
}


@pytest.fixture(scope="module")
def sink(need_package):
    need_package("asyncua")
    sink = open_sink({"kind": "opcua", "port": 0, "station": "Caps"})
    assert sink.health().connected, sink.health().error
    yield sink
    sink.close()


async def describe(node, spaces):
    """What a node is, with namespaces by their URIs: indices differ between servers."""
    from asyncua import ua

    def named(one):
        return spaces[one.NamespaceIndex], getattr(one, "Identifier", None) or one.Name

    kind = await node.read_node_class()
    refs = await node.get_references(direction=ua.BrowseDirection.Forward)
    links = {(one.ReferenceTypeId.Identifier, named(one.NodeId)) for one in refs if one.NodeId.NamespaceIndex}
    found = [kind, named(await node.read_browse_name()), links]
    if kind in (ua.NodeClass.Object, ua.NodeClass.Variable):
        found.append(named(await node.read_type_definition()))
    if kind is ua.NodeClass.Variable:
        found.append(named(await node.read_data_type()))
        if (await node.read_browse_name()).Name in ("InputArguments", "OutputArguments"):
            found.append([(a.Name, named(a.DataType), a.ValueRank) for a in await node.read_value()])
    return found


def test_a_client_with_the_imported_nodeset_finds_every_node_and_calls_by_its_ids(sink, tmp_path):
    from asyncua import Client, Server, ua

    path = tmp_path / "station.xml"
    write_nodeset(read_sink({"kind": "opcua", "station": "Caps"}), path)

    async def play():
        server = Server()
        await server.init()
        await server.register_namespace("urn:another")  # so that the index is another than the station's
        imported = await server.import_xml(path)
        spaces = await server.get_namespace_array()
        async with Client(f"opc.tcp://127.0.0.1:{sink.port}/sightline/", timeout=5) as client:
            there = await client.get_namespace_array()
            index = there.index(NAMESPACE)
            assert spaces.index(NAMESPACE) != index
            pairs, methods = [], {}
            for node_id in imported:
                node, twin = server.get_node(node_id), client.get_node(ua.NodeId(node_id.Identifier, index))
                pairs.append((await describe(node, spaces), await describe(twin, there)))
                if await node.read_node_class() is ua.NodeClass.Method:
                    methods[node_id.Identifier] = (await node.get_parent()).nodeid.Identifier
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", calls={"7": "caps"}))
            said = {}
            for method, parent in methods.items():
                name = method.rpartition(".")[2]
                owner = client.get_node(ua.NodeId(parent, index))
                answer = await owner.call_method(ua.NodeId(method, index), *INPUTS.get(name, []))
                said[name] = answer[-2]
            return pairs, methods, said

    pairs, methods, said = asyncio.run(play())
    assert len(pairs) > 100 and all(mine == theirs for mine, theirs in pairs)
    assert set(methods) == {f"{folder}.{name}" for folder, names in METHODS.items() for name in names}
    refused = {"Halt": ErrorCode.NOT_READY, "GetResultById": -1, "StartContinuous": ErrorCode.TRIGGER_OVERRUN}
    assert said == {name: refused.get(name, 0) for names in METHODS.values() for name in names}


def test_the_nodeset_is_written_by_the_command(tmp_path, need_package):
    need_package("asyncua")
    station = tmp_path / "press.toml"
    text = """name = "press"
[[views]]
camera = {{ kind = "fake" }}
[[recipes]]
name = "caps"
id = 1
file = "caps.onnx"
[controller]
kind = "{}"
"""
    for kind in ("opcua", "fake"):
        station.write_text(text.format(kind))
        done = CliRunner().invoke(app, ["run", str(station), "--nodeset", str(tmp_path / f"{kind}.xml")])
        assert (done.exit_code == 0) == (kind == "opcua")
    content = (tmp_path / "opcua.xml").read_text()
    assert NAMESPACE in content and "AcquisitionDoneEventType" in content and not (tmp_path / "fake.xml").exists()
