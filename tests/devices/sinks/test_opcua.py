"""OPC UA with an asyncua client: states, methods, events and results in the shape of OPC 40100-1."""

from __future__ import annotations

import asyncio
import json

import pytest

from sightline.core.errors import SettingError
from sightline.core.result import Verdict
from sightline.core.signals import CommandKind, ErrorCode, Status
from sightline.devices.sinks.opcua_model import NAMESPACE, states
from sightline.devices.sinks.table import open_sink

CALLS = {"caps": "caps", "7": "caps", "lids": "lids", "8": "lids", "4006381": "lids"}


@pytest.fixture(scope="module")
def server(need_package):
    need_package("asyncua")
    sink = open_sink({"kind": "opcua", "port": 0, "station": "Caps"})
    assert sink.health().connected, sink.health().error
    yield sink
    sink.close()


@pytest.fixture
def sink(server):
    """The server, none of whose commands of the test before wait any more."""
    while server.wait(0) is not None:
        pass
    return server


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
            upper = await child("VisionStateMachine")
            state = await upper.get_child("0:CurrentState")
            automatic = await child("VisionStateMachine", "AutomaticModeStateMachine")
            step = await automatic.get_child("0:CurrentState")
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
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", calls=CALLS))
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
    assert answer == ["P7", 0, ""] and (command.kind, command.part_id) == (CommandKind.TRIGGER, "P7")
    assert (event.PartId, event.ExternalRecipeId, event.ResultState) == ("P7", "caps", 1)
    assert json.loads(event.ResultContent) == sent.to_json() == json.loads(found[0]) and found[1] == 0
    assert missing[:2] == ["", -1] and "no result 'nothing'" in missing[2] and latest == "P7"


def test_recipes_are_prepared_and_refusals_have_their_code(sink):
    async def play():
        async with client_of(sink) as client:
            index, _, machine, child = await nodes(client)
            management = await child("RecipeManagement")
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            await asyncio.to_thread(sink.show, Status(busy=True, recipe="caps"))
            busy = await automatic.call_method(f"{index}:StartSingleJob", "P8", "")
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS))
            foreign = await automatic.call_method(f"{index}:StartSingleJob", "P8", "lids")
            prepared = await management.call_method(f"{index}:PrepareRecipe", "lids")
            empty = await management.call_method(f"{index}:PrepareRecipe", "")
            away = await management.call_method(f"{index}:UnprepareRecipe", "lids")
            reset = await machine.call_method(f"{index}:Reset")
            return busy, foreign, prepared, empty, away, reset

    busy, foreign, prepared, empty, away, reset = asyncio.run(play())
    assert busy[:2] == ["", ErrorCode.TRIGGER_OVERRUN] and foreign[:2] == ["", ErrorCode.OTHER_RECIPE]
    assert "caps is active" in foreign[2]
    assert prepared == ["lids", 0, ""] and empty[1] == ErrorCode.UNKNOWN_RECIPE and away == [0, ""] == reset
    kinds = [sink.wait(100).kind for _ in range(5)]
    refused = [CommandKind.REFUSED] * 2  # the pictures of these jobs may come all the same
    assert kinds == [*refused, CommandKind.RECIPE, CommandKind.UNPREPARE, CommandKind.RESET] and sink.wait(10) is None


def test_only_the_active_recipe_is_given_up(sink):
    async def play():
        async with client_of(sink) as client:
            index, _, _, child = await nodes(client)
            management = await child("RecipeManagement")
            give_up = lambda name: management.call_method(f"{index}:UnprepareRecipe", name)  # noqa: E731
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS))
            await management.call_method(f"{index}:PrepareRecipe", "caps")
            wrong = [await give_up(name) for name in ("lids", "4006381", "nothing", "")]
            right = await give_up("7")
            await management.call_method(f"{index}:PrepareRecipe", "lids")
            return wrong, right, await give_up("8")  # it is being prepared

    wrong, right, prepared = asyncio.run(play())
    codes = [ErrorCode.OTHER_RECIPE] * 3 + [ErrorCode.UNKNOWN_RECIPE]
    assert [error for error, _ in wrong] == codes and "caps is active" in wrong[0][1]
    assert right == prepared == [0, ""]
    asked = [sink.wait(100) for _ in range(4)]
    assert [(one.kind, one.recipe) for one in asked] == [
        (CommandKind.RECIPE, "caps"),
        (CommandKind.UNPREPARE, "7"),
        (CommandKind.RECIPE, "lids"),
        (CommandKind.UNPREPARE, "8"),
    ]
    assert sink.wait(10) is None


def test_a_second_job_before_the_first_is_seen_is_refused_and_the_first_stays(sink, signal):
    async def play():
        async with client_of(sink) as client:
            index, _, machine, _ = await nodes(client)
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            start = lambda part: automatic.call_method(f"{index}:StartSingleJob", part, "")  # noqa: E731
            ready = Status(ready=True, recipe="caps", recipes=("caps",), calls=CALLS)
            await asyncio.to_thread(sink.show, ready)
            both = await asyncio.gather(start("one"), start("two"))
            taken = [await asyncio.to_thread(sink.wait, wait_ms) for wait_ms in (1000, 1000, 10)]
            await asyncio.to_thread(sink.send, signal(taken[0].part_id))
            end = asyncio.get_running_loop().time() + 5
            while (third := await start("three"))[1]:
                assert asyncio.get_running_loop().time() < end
                await asyncio.sleep(0.01)
            await asyncio.to_thread(sink.wait, 1000)
            await asyncio.to_thread(sink.send, signal("three"))
            return both, taken, third

    both, taken, third = asyncio.run(play())
    assert sorted(error for _, error, _ in both) == [0, ErrorCode.TRIGGER_OVERRUN]
    # The station learns of the part that was refused: its picture may come all the same.
    assert [command.kind for command in taken[:2]] == [CommandKind.TRIGGER, CommandKind.REFUSED] and taken[2] is None
    assert [taken[0].part_id, 0, ""] in both and third[0] == "three"


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


def test_the_states_are_told_by_the_ids_of_their_nodes(sink):
    """As a generic client sees them, which knows OPC UA's FiniteStateMachineType and nothing of this namespace."""
    from asyncua import ua

    async def look():
        async with client_of(sink) as client:
            _, _, machine, _ = await nodes(client)
            kind = client.get_node(await machine.read_type_definition())
            above = (await kind.get_referenced_nodes(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse))[0]
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="a"))
            await asyncio.sleep(0.1)
            first = await (await machine.get_child(["0:CurrentState", "0:Id"])).read_value()
            await asyncio.to_thread(sink.show, Status(error=40, reason="golden-1 is due"))
            await asyncio.sleep(0.1)
            second = await (await machine.get_child(["0:CurrentState", "0:Id"])).read_value()
            last = await machine.get_child("0:LastTransition")
            transition = client.get_node(await (await last.get_child("0:Id")).read_value())
            (source,) = await transition.get_referenced_nodes(51)
            (target,) = await transition.get_referenced_nodes(52)
            names = [(await client.get_node(one).read_browse_name()).Name for one in (first, second)]
            fine = (source.nodeid, target.nodeid) == (first, second)
            return above.nodeid.Identifier, names, fine, (await last.read_value()).Text

    assert asyncio.run(look()) == (2771, ["Operational", "Error"], True, "OperationalToError")


def test_a_recipe_that_is_not_here_is_not_prepared(sink):
    async def play():
        async with client_of(sink) as client:
            index, root, _, child = await nodes(client)
            events = asyncio.Queue()

            class Handler:
                def event_notification(self, event):
                    events.put_nowait(event)

            subscription = await client.create_subscription(20, Handler())
            kinds = [
                await client.nodes.base_event_type.get_child([f"{index}:{name}EventType"])
                for name in ("RecipePrepared", "Ready", "JobStarted", "Error")
            ]
            status = Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS)
            await asyncio.to_thread(sink.show, status)
            await asyncio.sleep(0.1)
            for kind in kinds:
                await subscription.subscribe_events(root, kind)
            management = await child("RecipeManagement")
            answer = await management.call_method(f"{index}:PrepareRecipe", "nothere")
            listed = await management.call_method(f"{index}:GetRecipeListFiltered", "", 2, 0, 0)
            command = await asyncio.to_thread(sink.wait, 1000)
            for shown in (
                Status(error=30, reason="not here", recipes=("caps", "lids")),
                Status(recipe="lids", changeovers=1),  # changed over, but nothing can be judged yet
                Status(ready=True, recipe="lids", changeovers=1),
                Status(busy=True, recipe="lids", changeovers=1),
                Status(ready=True, recipe="lids", changeovers=2),  # the same one again is prepared, too
            ):
                await asyncio.to_thread(sink.show, shown)
            await asyncio.sleep(0.3)
            told = [events.get_nowait() for _ in range(events.qsize())]
            return answer, listed, command, [(event.Message.Text, getattr(event, "Reason", "")) for event in told]

    answer, listed, command, told = asyncio.run(play())
    assert answer[:2] == ["", ErrorCode.UNKNOWN_RECIPE] and "'nothere'" in answer[2] and command.recipe == "nothere"
    assert listed == [True, 2, '["caps", "lids"]', 0, ""]
    others = {(f"{name}EventType", "") for name in ("Ready", "RecipePrepared", "JobStarted")}
    assert set(told) == others | {("ErrorEventType", "not here")}
    assert [name for name, _ in told].count("RecipePreparedEventType") == 2


def test_the_namespace_of_the_companion_is_not_claimed_and_results_are_listed(sink, signal):
    async def play():
        async with client_of(sink) as client:
            spaces = await client.get_namespace_array()
            index, _, machine, child = await nodes(client)
            sent = signal("P9", recipe="caps")
            await asyncio.to_thread(sink.send, sent)
            await asyncio.sleep(0.3)
            management = await child("ResultManagement")
            found = await management.call_method(f"{index}:GetResultListFiltered", 0, "P9", "caps", "", 0, 0)
            none = await management.call_method(f"{index}:GetResultListFiltered", 0, "P9", "lids", "", 0, 0)
            mode = await machine.call_method(f"{index}:SelectModeAutomatic")
            confirmed = await machine.call_method(f"{index}:ConfirmAll")
            return spaces, sent.key, found, none, mode, confirmed

    spaces, key, found, none, mode, confirmed = asyncio.run(play())
    assert NAMESPACE in spaces and not any("MachineVision" in space for space in spaces)
    assert found == [True, 1, json.dumps([key]), 0, ""] and none[:3] == [True, 0, "[]"] and mode == [0, ""] == confirmed
    assert sink.wait(1000).kind is CommandKind.RESET


@pytest.mark.parametrize("part", ["", "  "])
def test_a_job_without_a_part_id_has_a_name(sink, signal, part):
    async def play():
        async with client_of(sink) as client:
            index, _, machine, _ = await nodes(client)
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps"))
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            return await automatic.call_method(f"{index}:StartSingleJob", part, "")

    job, error, _ = asyncio.run(play())
    command = sink.wait(1000)
    assert error == 0 and job and command.part_id == job and command.recipe == ""
    sink.send(signal(job))


async def listen(client, index, root, *names):
    """A queue of the station's events of these kinds, as pairs of name and event."""
    events = asyncio.Queue()

    class Handler:
        def event_notification(self, event):
            events.put_nowait((event.Message.Text.removesuffix("EventType"), event))

    subscription = await client.create_subscription(20, Handler())
    for name in names:
        await subscription.subscribe_events(
            root, await client.nodes.base_event_type.get_child([f"{index}:{name}EventType"])
        )
    return events


@pytest.mark.parametrize("call", ["lids", "8", "4006381"])
def test_a_recipe_is_prepared_by_name_number_and_barcode(sink, call):
    async def play():
        async with client_of(sink) as client:
            index, _, _, child = await nodes(client)
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS))
            return await (await child("RecipeManagement")).call_method(f"{index}:PrepareRecipe", call)

    assert asyncio.run(play()) == ["lids", 0, ""]
    command = sink.wait(1000)
    assert (command.kind, command.recipe) == (CommandKind.RECIPE, call)


def test_a_station_that_cannot_start_prepares_nothing_and_says_why(sink):
    async def play():
        async with client_of(sink) as client:
            index, _, _, child = await nodes(client)
            await asyncio.to_thread(sink.show, Status(error=ErrorCode.CANNOT_START, reason="no such file: caps.onnx"))
            return await (await child("RecipeManagement")).call_method(f"{index}:PrepareRecipe", "caps")

    assert asyncio.run(play()) == ["", ErrorCode.CANNOT_START, "no such file: caps.onnx"]
    assert sink.wait(10) is None


def test_a_continuous_run_from_start_to_stop_and_abort(sink, signal):
    ready = Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS)
    aborted = []
    sink.on_abort(lambda: aborted.append(True))

    async def play():
        async with client_of(sink) as client:
            index, root, machine, _ = await nodes(client)
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            events = await listen(client, index, root, "JobStarted", "AcquisitionDone", "ResultReady", "Ready")
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", not_continuous="camera top waits"))
            refused = await automatic.call_method(f"{index}:StartContinuous", "")
            await asyncio.to_thread(sink.show, ready)
            foreign = await automatic.call_method(f"{index}:StartContinuous", "8")
            job, error, _ = await automatic.call_method(f"{index}:StartContinuous", "7")
            begun = await asyncio.to_thread(sink.wait, 1000)
            while (await asyncio.wait_for(events.get(), 5))[0] != "Ready":
                pass
            told = []
            run = {"busy": True, "recipe": "caps", "job": job, "continuous": True}
            for number in (1, 2):
                part = f"{job}-{number}"
                await asyncio.to_thread(sink.show, Status(part_id=part, **run))
                await asyncio.to_thread(sink.show, Status(part_id=part, acquired=True, **run))
                await asyncio.to_thread(sink.send, signal(part, job=job))
                while not told or told[-1][0] != "ResultReady" or told[-1][1].PartId != part:
                    told.append(await asyncio.wait_for(events.get(), 5))
            state = await automatic.get_child("0:CurrentState")
            seen = (await state.read_value()).Text, await (await state.get_child("0:Id")).read_value()
            busy = await automatic.call_method(f"{index}:StartSingleJob", "", "")
            stopped = await automatic.call_method(f"{index}:Stop")
            ended = await automatic.call_method(f"{index}:Abort")
            await asyncio.to_thread(sink.show, ready)
            told.append(await asyncio.wait_for(events.get(), 5))
            last = (await (await automatic.get_child("0:LastTransition")).read_value()).Text
            return refused, foreign, job, error, begun, seen, busy, [stopped, ended], last, told

    refused, foreign, job, error, begun, seen, busy, ended, last, told = asyncio.run(play())
    assert refused == ["", ErrorCode.NOT_CONTINUOUS, "camera top waits"] and foreign[1] == ErrorCode.OTHER_RECIPE
    assert error == 0 and (begun.kind, begun.part_id, begun.recipe) == (CommandKind.CONTINUOUS, job, "7")
    assert seen[0] == "ContinuousExecution" and seen[1].Identifier.endswith(".ContinuousExecution")
    assert busy[:2] == ["", ErrorCode.TRIGGER_OVERRUN] and ended == [[0, ""]] * 2 and aborted == [True]
    kinds = [sink.wait(100).kind for _ in range(3)]
    assert kinds == [CommandKind.REFUSED, CommandKind.STOP, CommandKind.ABORT]
    assert last == "ContinuousExecutionToReady"
    assert [name for name, _ in told] == ["JobStarted", *["AcquisitionDone", "ResultReady"] * 2, "Ready"]
    assert {event.JobId for name, event in told if name != "Ready"} == {job}
    assert [event.PartId for name, event in told if name == "AcquisitionDone"] == [f"{job}-1", f"{job}-2"]


def test_a_second_run_before_the_first_is_seen_is_refused(sink):
    ready = Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS)

    async def play():
        async with client_of(sink) as client:
            index, _, machine, _ = await nodes(client)
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])

            async def start(recipe=""):
                return await automatic.call_method(f"{index}:StartContinuous", recipe)

            await asyncio.to_thread(sink.show, ready)
            both = await asyncio.gather(start(), start())
            single = await automatic.call_method(f"{index}:StartSingleJob", "P1", "")
            await automatic.call_method(f"{index}:Stop")
            again = await start()  # the station obeys in order: the first has ended by then
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", calls=CALLS, not_begun=again[0]))
            after = await start()  # the one before could not begin
            await asyncio.to_thread(sink.show, Status(recipe="caps", calls=CALLS))
            await asyncio.to_thread(sink.show, ready)
            last = await start()  # a station that was away obeys nothing of before
            await automatic.call_method(f"{index}:Stop")
            return both, single, again, after, last

    both, single, again, after, last = asyncio.run(play())
    assert sorted(error for _, error, _ in both) == [0, ErrorCode.TRIGGER_OVERRUN]
    assert single[1] == ErrorCode.TRIGGER_OVERRUN and [again[1], after[1], last[1]] == [0, 0, 0]


def test_lists_are_filtered_and_come_in_pages(sink, signal):
    async def play():
        async with client_of(sink) as client:
            index, _, _, child = await nodes(client)
            await asyncio.to_thread(sink.show, Status(ready=True, recipe="caps", recipes=("caps", "lids"), calls=CALLS))
            cases = [{"job": "run"}, {"job": "run"}, {"valid": False, "error": 12}, {"valid": False, "error": 1}]
            sent = [signal(f"L{number}", recipe="caps", **case) for number, case in enumerate(cases)]
            for one in sent:
                await asyncio.to_thread(sink.send, one)
            await asyncio.sleep(0.5)
            results, recipes = await child("ResultManagement"), await child("RecipeManagement")

            async def ask(node, name, *inputs):
                done, count, found, *said = await node.call_method(f"{index}:{name}", *inputs)
                assert said == [0, ""] and count == len(json.loads(found))
                return done, json.loads(found)

            by_result = [
                await ask(results, "GetResultListFiltered", *inputs)
                for inputs in (
                    (0, "", "", "run", 0, 0),
                    (0, "", "", "run", 1, 0),
                    (0, "", "", "run", 1, 1),
                    (3, "", "", "", 0, 0),
                    (4, "L3", "caps", "L3", 0, 0),
                    (1, "L3", "", "", 0, 0),
                    (0, "", "", "run", 5, 7),
                )
            ]
            by_recipe = [
                await ask(recipes, "GetRecipeListFiltered", *inputs)
                for inputs in (("8", 2, 0, 0), ("", 1, 0, 0), ("", 0, 0, 0), ("", 2, 1, 0), ("no", 2, 0, 0))
            ]
            return [one.key for one in sent], by_result, by_recipe

    (a, b, c, d), by_result, by_recipe = asyncio.run(play())
    expected = [(True, [a, b]), (False, [a]), (True, [b]), (True, [c]), (True, [d]), (True, []), (True, [])]
    assert by_result == expected
    assert by_recipe == [(True, ["lids"]), (True, ["caps"]), (True, ["lids"]), (False, ["caps"]), (True, [])]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (("P1",), "BadArgumentsMissing"),
        (("P1", "", ""), "BadTooManyArguments"),
        (("P" * 65, ""), "BadInvalidArgument"),
        (("P1", "r" * 65), "BadInvalidArgument"),
        ((["P1", "P2"], ""), "BadInvalidArgument"),
        ((b"P1", ""), "BadInvalidArgument"),
        ((1.5, ""), "BadInvalidArgument"),
        ((True, ""), "BadInvalidArgument"),
    ],
)
def test_calls_with_wrong_arguments_are_refused_as_opc_ua_has_it(sink, inputs, code):
    from asyncua import ua

    async def play():
        async with client_of(sink) as client:
            index, _, machine, _ = await nodes(client)
            automatic = await machine.get_child([f"{index}:AutomaticModeStateMachine"])
            await automatic.call_method(f"{index}:StartSingleJob", *inputs)

    with pytest.raises(getattr(ua.uaerrors, code)):
        asyncio.run(play())
    assert sink.wait(10) is None
