"""OPC UA with an asyncua client: states, methods, events and results in the shape of OPC 40100-1."""

from __future__ import annotations

import asyncio
import json

import pytest

from sightline.core.band import Verdict
from sightline.core.command import CommandKind
from sightline.core.errors import SettingError
from sightline.core.fault import ErrorCode
from sightline.core.status import Status
from sightline.devices.sinks.opcua_model import NAMESPACE, states
from sightline.devices.sinks.table import open_sink


@pytest.fixture(scope="module")
def sink(need_package):
    need_package("asyncua")
    sink = open_sink({"kind": "opcua", "port": 0, "station": "Caps"})
    assert sink.health().connected, sink.health().error
    yield sink
    sink.close()


def client_of(sink, **options):
    from asyncua import Client

    return Client(f"opc.tcp://127.0.0.1:{sink.port}/sightline/", timeout=5, **options)


async def nodes(client):
    index = await client.get_namespace_index(NAMESPACE)
    root = await client.nodes.objects.get_child([f"{index}:Caps"])
    machine = await root.get_child([f"{index}:VisionStateMachine"])

    async def child(*path):
        return await root.get_child([f"{index}:{name}" for name in path])

    return index, root, machine, child


def test_the_state_machine_follows_the_status(sink):
    async def look():
        async with client_of(sink) as client:
            _, _, _, child = await nodes(client)
            state = await child("VisionStateMachine", "CurrentState")
            step = await child("VisionStateMachine", "AutomaticModeStateMachine", "CurrentState")
            seen = []
            for status in (Status(recipe="a"), Status(ready=True), Status(busy=True), Status(error=2)):
                sink.show(status)
                await asyncio.sleep(0.1)
                seen.append(((await state.read_value()).Text, (await step.read_value()).Text))
            return seen, await (await child("ErrorCode")).read_value()

    seen, error = asyncio.run(look())
    assert seen == [
        ("Operational", "Initialized"),
        ("Operational", "Ready"),
        ("Operational", "SingleExecution"),
        ("Error", ""),
    ]
    assert error == 2
    assert states(None, False) == ("Preoperational", "") and states(Status(), True) == ("Halted", "")


def test_a_job_runs_from_the_call_to_the_event_and_its_result(sink, signal):
    async def play():
        async with client_of(sink) as client:
            index, root, machine, child = await nodes(client)
            kind = await client.nodes.base_event_type.get_child([f"{index}:ResultReadyEventType"])
            events = asyncio.Queue()

            class Handler:
                def event_notification(self, event):
                    events.put_nowait(event)

            subscription = await client.create_subscription(20, Handler())
            await subscription.subscribe_events(root, kind)
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps"))
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            answer = await automatic.call_method(f"{index}:StartSingleJob", "P7", "caps")
            command = await asyncio.to_thread(sink.wait, 1000)
            sent = signal(command.part_id, Verdict.OK)
            sink.send(sent)
            event = await asyncio.wait_for(events.get(), 5)
            management = await child("ResultManagement")
            found = await management.call_method(f"{index}:GetResultById", event.ResultId)
            missing = await management.call_method(f"{index}:GetResultById", "nothing")
            latest = await child("ResultManagement", "Results", "LatestResult", "PartId")
            return answer, command, sent, event, found, missing, await latest.read_value()

    answer, command, sent, event, found, missing, latest = asyncio.run(play())
    assert answer == ["P7", 0] and (command.kind, command.part_id) == (CommandKind.TRIGGER, "P7")
    assert (event.PartId, event.ExternalRecipeId, event.ResultState) == ("P7", "caps", 1)
    assert json.loads(event.ResultContent) == sent.to_json() == json.loads(found[0]) and found[1] == 0
    assert missing == ["", -1] and latest == "P7"


def test_recipes_are_prepared_and_refusals_have_their_code(sink):
    async def play():
        async with client_of(sink) as client:
            index, _, machine, child = await nodes(client)
            management = await child("RecipeManagement")
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            await asyncio.to_thread(sink.show, Status(busy=True, recipe="caps"))
            busy = await automatic.call_method(f"{index}:StartSingleJob", "P8", "")
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps"))
            foreign = await automatic.call_method(f"{index}:StartSingleJob", "P8", "lids")
            prepared = await management.call_method(f"{index}:PrepareRecipe", "lids")
            empty = await management.call_method(f"{index}:PrepareRecipe", "")
            away = await management.call_method(f"{index}:UnprepareRecipe", "lids")
            reset = await machine.call_method(f"{index}:Reset")
            return busy, foreign, prepared, empty, away, reset

    busy, foreign, prepared, empty, away, reset = asyncio.run(play())
    assert busy == ["", ErrorCode.TRIGGER_OVERRUN] and foreign == ["", ErrorCode.UNKNOWN_RECIPE]
    assert prepared == ["lids", 0] and empty[1] != 0 and away == 0 and reset == 0
    kinds = [sink.wait(100).kind for _ in range(3)]
    assert kinds == [CommandKind.RECIPE, CommandKind.UNPREPARE, CommandKind.RESET] and sink.wait(10) is None


def test_clients_cannot_write(sink):
    from asyncua import ua

    async def write():
        async with client_of(sink) as client:
            _, _, _, child = await nodes(client)
            await (await child("ErrorCode")).write_value(0, ua.VariantType.Int32)

    with pytest.raises(ua.UaStatusCodeError):
        asyncio.run(write())


def test_user_and_encryption_are_demanded(need_package, certificate, monkeypatch):
    need_package("asyncua")
    from asyncua import ua

    monkeypatch.setenv("OPC_PASSWORD", "s3cret")
    cert, key = certificate
    login = {"user": "plc", "password": {"env": "OPC_PASSWORD"}, "certificate": cert, "private_key": key}
    sink = open_sink({"kind": "opcua", "port": 0, **login})

    async def connect(password, secure=True):
        client = client_of(sink)
        client.set_user("plc")
        client.set_password(password)
        if secure:
            await client.set_security_string(f"Basic256Sha256,SignAndEncrypt,{cert},{key}")
        async with client:
            return await client.nodes.server.read_browse_name()

    try:
        assert asyncio.run(connect("s3cret")).Name == "Server"
        with pytest.raises(ua.UaError):
            asyncio.run(connect("guess"))
        with pytest.raises((ua.UaError, OSError, asyncio.TimeoutError)):
            asyncio.run(connect("s3cret", secure=False))
    finally:
        sink.close()


def test_open_doors_are_refused():
    with pytest.raises(SettingError, match="reachable from other machines"):
        open_sink({"kind": "opcua", "host": "0.0.0.0"})
    with pytest.raises(SettingError, match="belong together"):
        open_sink({"kind": "opcua", "user": "plc"})
