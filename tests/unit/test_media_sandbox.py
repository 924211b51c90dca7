"""Sandbox: tasks that die, hang, eat or lie cost themselves only; messages carry numbers and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from curation.errors import MediaError
from curation.media import messages, process
from curation.media import sandbox as pools
from curation.media.process import TaskError, WorkerFailedError
from curation.media.sandbox import Sandbox
from curation.media.worker import SELFTEST_VARIABLE, load
from tests.mediamaker import make_video

SELFTEST = {SELFTEST_VARIABLE: "1"}


@pytest.fixture(scope="module")
def pool() -> Iterator[Sandbox]:
    with Sandbox(2, time_limit_s=20.0, memory_limit_mb=400, environment=SELFTEST) as sandbox:
        yield sandbox


def failure(pool: Sandbox, task: str, **payload: object) -> TaskError:
    with pytest.raises(TaskError) as caught:
        pool.call(task, payload)
    return caught.value


def test_values_and_arrays_come_back(pool: Sandbox) -> None:
    payload = {"text": "é\udcff\n", "none": None, "list": [1, 2.5, True], "nested": {"a": [np.arange(3)]}}
    got = pool.call("selftest.echo", payload)["payload"]
    np.testing.assert_array_equal(got["nested"]["a"][0], np.arange(3))
    assert {k: got[k] for k in ("text", "none", "list")} == {k: payload[k] for k in ("text", "none", "list")}
    big = pool.call("selftest.big", {"n": 3_000_000})["array"]
    np.testing.assert_array_equal(big, np.arange(3_000_000, dtype=np.float32))


def test_large_payloads_pass(pool: Sandbox) -> None:
    array = np.random.default_rng(0).normal(size=400_000)
    np.testing.assert_array_equal(pool.call("selftest.echo", {"a": array})["payload"]["a"], array)


def test_a_crash_names_its_signal_and_the_pool_goes_on(pool: Sandbox) -> None:
    error = failure(pool, "selftest.crash", path="/videos/bad file.mp4")
    assert error.code == "decoder_crashed"
    assert "SIGSEGV" in error.message and "bad file.mp4" in error.message
    left = failure(pool, "selftest.leave", status=7)
    assert left.code == "decoder_crashed" and "status 7" in left.message
    assert pool.call("selftest.echo", {"x": 1})["payload"] == {"x": 1}


def test_a_hang_costs_its_own_time_limit(pool: Sandbox) -> None:
    start = time.monotonic()
    error = failure(pool, "selftest.hang", _time_limit_s=0.5)
    assert error.code == "timeout" and "0.5 s" in error.message
    assert time.monotonic() - start < 15


def test_memory_is_bounded(pool: Sandbox) -> None:
    error = failure(pool, "selftest.eat_memory", max_mb=4000)
    assert error.code == "out_of_memory" and "400 MB" in error.message


def test_a_worker_that_kept_much_memory_is_replaced() -> None:
    worker = process.WorkerProcess(memory_limit_mb=640, environment=SELFTEST)
    never = threading.Event()
    pieces = messages.encode({"task": "selftest.echo", "payload": {}})
    try:
        pids = [worker.request("selftest.echo", "x", pieces, 9.0, never, never)["pid"] for _ in range(2)]
        assert pids[0] == pids[1]
        worker.memory_limit_mb = int(process.resident_mb(pids[0]) * 1.3)  # above what it holds, below what it may keep
        worker.request("selftest.echo", "x", pieces, 9.0, never, never)
        assert worker.request("selftest.echo", "x", pieces, 9.0, never, never)["pid"] != pids[0]
        assert worker.n_starts >= 2
    finally:
        worker.kill()


def test_errors_keep_their_code_and_traceback(pool: Sandbox) -> None:
    known = failure(pool, "selftest.fail", code="still_picture")
    assert (known.code, known.message, known.hint) == ("still_picture", "Asked to fail.", "Ask for something else.")
    ours = failure(pool, "selftest.fail")
    assert ours.code == "internal" and "ValueError: asked to fail" in ours.message and "selftest.py" in ours.detail


def test_a_task_that_gives_up_by_itself_keeps_its_process() -> None:
    with Sandbox(1, environment=SELFTEST) as one:
        first = one.call("selftest.echo", {})["pid"]
        for code, stays in (("cancelled", True), ("undecodable", True), ("out_of_memory", False)):
            assert failure(one, "selftest.fail", code=code).code == code
            assert (one.call("selftest.echo", {})["pid"] == first) is stays


def test_chatter_does_not_reach_the_messages(pool: Sandbox) -> None:
    assert pool.call("selftest.chatter", {"lines": 4000}) == {"ok": True}


def test_each_bad_task_costs_itself_only(pool: Sandbox) -> None:
    tasks = [{"code": "x"} if k % 3 == 0 else {} for k in range(9)]
    kinds = {o.index: o.error.code if o.error else "" for o in pool.imap("selftest.fail", tasks)}
    assert kinds == {k: "x" if k % 3 == 0 else "internal" for k in range(9)}
    codes = [o.error.code for o in pool.imap("selftest.crash", [{}] * 5) if o.error]
    assert codes == ["decoder_crashed"] * 5


def test_payloads_are_read_a_little_ahead_and_keep_private_keys(pool: Sandbox) -> None:
    read = 0

    def payloads() -> Iterator[dict[str, object]]:
        nonlocal read
        for k in range(50):
            read += 1
            yield {"k": k, "_own": object()}

    seen = 0
    for outcome in pool.imap("selftest.echo", payloads()):
        seen += 1
        assert read - seen <= 4
        assert outcome.value is not None and outcome.value["payload"] == {"k": outcome.payload["k"]}
    assert seen == 50


def test_leaving_early_stops_what_runs(pool: Sandbox) -> None:
    outcomes = pool.imap("selftest.slow", ({"seconds": 0.05 if k == 0 else 60} for k in range(10)))
    next(outcomes)
    outcomes.close()
    start = time.monotonic()
    assert pool.call("selftest.echo", {})["payload"] == {}
    assert time.monotonic() - start < 20


def test_many_threads_may_call(pool: Sandbox) -> None:
    got: dict[int, object] = {}

    def one(k: int) -> None:
        got[k] = pool.call("selftest.echo", {"k": k})["payload"]["k"]

    threads = [threading.Thread(target=one, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {k: k for k in range(12)}


def test_the_pool_outlives_the_thread_that_first_called() -> None:
    with Sandbox(1, environment=SELFTEST) as one:
        pids: list[int] = []
        for _ in range(2):
            thread = threading.Thread(target=lambda: pids.append(one.call("selftest.echo", {})["pid"]))
            thread.start()
            thread.join()
        assert pids[0] == pids[1]


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    paths = [make_video(tmp_path / f"{k}.mp4", seconds=1, scenes=2, seed=k) for k in range(4)]
    results = []
    for workers in (1, 3):
        with Sandbox(workers) as sandbox:
            found = {o.index: o.value for o in sandbox.imap("shots", ({"path": str(p)} for p in paths))}
            results.append([found[k]["cuts_s"].tolist() for k in range(4)])  # type: ignore[index]
    assert results[0] == results[1]


def test_close_ends_processes_and_refuses_more() -> None:
    sandbox = Sandbox(2, environment=SELFTEST)
    pids = {o.value["pid"] for o in sandbox.imap("selftest.echo", [{}] * 8) if o.value}
    late: list[object] = []

    def hang() -> None:
        try:
            sandbox.call("selftest.hang", {})
        except MediaError as error:
            late.append(error.code)

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.3)
    sandbox.close()
    thread.join(10)
    assert late == ["cancelled"] and not any(psutil.pid_exists(pid) for pid in pids)
    assert failure(sandbox, "selftest.echo").code == "cancelled"


def test_workers_die_with_their_parent() -> None:
    script = (
        "import sys, threading\n"
        "from curation.media.sandbox import Sandbox\n"
        f"s = Sandbox(1, environment={{{SELFTEST_VARIABLE!r}: '1'}})\n"
        "print(s.call('selftest.echo', {})['pid'], flush=True)\n"
        "threading.Thread(target=lambda: s.call('selftest.hang', {}), daemon=True).start()\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=process.PROJECT
    )
    assert parent.stdin is not None and parent.stdout is not None
    with parent.stdin, parent.stdout:
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_only_listed_tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SELFTEST_VARIABLE, raising=False)
    for name in ("os:system", "selftest.echo", "curation.media.tasks:probe_file", ""):
        with pytest.raises(KeyError):
            load(name)
    for name in ("probe", "shots", "still", "proxy", "strip"):
        assert callable(load(name))


def test_a_pool_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.sys, "executable", "/bin/false")
    with Sandbox(2) as sandbox, pytest.raises(WorkerFailedError):
        list(sandbox.imap("probe", [{"path": "x"}] * 20))


def test_probing_does_not_load_torch() -> None:
    code = (
        "import sys, curation.media.worker as w; w.load('probe'); import curation.media.probe;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=process.PROJECT, check=False).returncode == 0


def read_back(data: bytes) -> dict[str, object]:
    view = memoryview(data)
    at = 0

    def exactly(count: int) -> bytes:
        nonlocal at
        if at + count > len(view):
            raise messages.ProtocolError("short")
        at += count
        return bytes(view[at - count : at])

    return messages.read(exactly)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i8", "u1", "?", ">i4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_messages_keep_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).random(shape) * 50).astype(dtype)
    value = {"a": array, "b": [array.T, 1], "c": np.float32(1.5)}
    got = read_back(b"".join(messages.encode(value)))
    np.testing.assert_array_equal(got["a"], array)
    np.testing.assert_array_equal(got["b"][0], array.T)  # type: ignore[index]
    assert got["a"].dtype == array.dtype and got["a"].shape == array.shape and got["c"] == 1.5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value",
    [
        {"a": np.array([object()])},
        {"a": object()},
        {"a": {1: 2}},
        {"a": b"x"},
        {"a": {messages.MARK: 0}},
        {"a": np.array(["x"])},
    ],
)
def test_messages_refuse_objects(value: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        messages.encode(value)


def test_messages_refuse_damage() -> None:
    good = b"".join(messages.encode({"a": np.arange(5)}))
    for bad in (
        b"XXXX" + good[4:],
        good[:-1],
        messages.PREFIX.pack(messages.MAGIC, 1 << 31, 0),
        messages.PREFIX.pack(messages.MAGIC, 2, 1 << 40),
        good.replace(b'"<i8"', b'"|O8"'),
        good.replace(b"[5]", b"[9]"),
        good.replace(b"[5]", b"[4]"),
        good.replace(b"arrays", b"arrayz"),
    ):
        with pytest.raises(messages.ProtocolError):
            read_back(bad)


def test_environment_of_workers_is_one_threaded(pool: Sandbox) -> None:
    pid = pool.call("selftest.echo", {})["pid"]
    assert psutil.Process(pid).environ()["OMP_NUM_THREADS"] == "1"


def test_limits_are_of_the_task_and_processes_are_shared(pool: Sandbox) -> None:
    tight = pool.limited(time_limit_s=0.4, memory_limit_mb=400)
    assert failure(tight, "selftest.hang").code == "timeout"
    pids = {o.value["pid"] for one in (pool, tight) for o in one.imap("selftest.echo", [{}] * 6) if o.value}
    assert len(pids) <= pool.workers


def test_a_process_that_holds_more_than_a_lower_limit_is_replaced() -> None:
    worker = process.WorkerProcess(memory_limit_mb=2048, environment=SELFTEST)
    never = threading.Event()
    pieces = messages.encode({"task": "selftest.echo", "payload": {}})
    try:
        first = worker.request("selftest.echo", "x", pieces, 9.0, never, never)["pid"]
        worker.limit_memory(int(process.resident_mb(first) * 1.3))
        assert worker.request("selftest.echo", "x", pieces, 9.0, never, never)["pid"] != first
    finally:
        worker.kill()


def test_little_work_starts_one_process_and_much_work_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PATIENCE_S", 5.0)
    with Sandbox(3, environment=SELFTEST) as patient:
        assert len({o.value["pid"] for o in patient.imap("selftest.echo", [{}] * 9) if o.value}) == 1
    before = len(psutil.Process().children())
    with Sandbox(3, environment=SELFTEST) as hasty:
        assert len(list(hasty.imap("selftest.slow", [{"seconds": 0.1}] * 3, patience_s=0.0))) == 3
        assert len(psutil.Process().children()) == before + 3


def test_warm_starts_all_processes_and_they_answer() -> None:
    with Sandbox(workers=2) as sandbox:
        sandbox.warm()
        assert len(sandbox._pool._threads) == 2
        assert sandbox.call("ready", {}) == {}
        assert len(sandbox._pool._threads) == 2
