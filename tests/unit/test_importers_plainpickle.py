"""Pickles of plain data are read; whatever could run, reserve memory or reach outside is refused without running."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import io
import os
import pickle
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.importers import plainpickle
from curation.importers.plainpickle import PlainArray, RefusedPickleError, load_plain

ROOT = Path(__file__).resolve().parents[2]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test here runs in a folder of its own, which stays as the test left it."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "ran").exists(), "a pickle ran a program"


# -- plain data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(10)[::2],
        np.arange(4, dtype=">i4"),
        np.arange(4, dtype=np.float16),
        np.array([True, False]),
        np.array(2.5),
        np.zeros((0, 3), np.uint8),
        np.array(["ab", "ü"]),
        np.array([b"ab", b"c"]),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_come_back(array: np.ndarray, protocol: int) -> None:
    found = load_plain(pickle.dumps({"a": [array, array]}, protocol))["a"]
    for value in found:
        assert isinstance(value, PlainArray)
        read = value.numpy()
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        assert (read == array).all()
        assert not read.flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_names_of_old_and_new_numpy(protocol: int) -> None:
    data = pickle.dumps(np.arange(3.0), protocol)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray", b"numpy.core.numeric", b"numpy._core.numeric"):
        present = next(n for n in (b"numpy._core.multiarray", b"numpy._core.numeric") if n in data)
        if name.rpartition(b".")[2] != present.rpartition(b".")[2]:
            continue
        changed = data.replace(present, name)
        if protocol >= 4:  # a length stands before a short text, and one before the frame
            changed = data.replace(bytes([len(present)]) + present, bytes([len(name)]) + name)
            frame = struct.unpack("<Q", changed[3:11])[0] + len(name) - len(present)
            changed = changed[:3] + struct.pack("<Q", frame) + changed[11:]
        assert load_plain(changed).numpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol: int) -> None:
    value = {
        "n": [1, -(2**70), 0.5, True, None, float("inf")],
        "text": ("ü", "", b"\x00\xff", bytearray(b"xy")),
        "scalars": [np.int64(7), np.float32(0.5), np.bool_(True), np.str_("é")],
        "sets": [{1}, frozenset({2})],
        "map": collections.OrderedDict([("b", 1), ("a", 2)]),
    }
    assert load_plain(pickle.dumps(value, protocol)) == {
        **value,
        "scalars": [7, 0.5, True, "é"],
        "sets": [[1], [2]],
        "map": {"b": 1, "a": 2},
    }


def test_a_shared_list_stays_shared() -> None:
    shared: list[Any] = [1]
    shared.append(shared)
    found = load_plain(pickle.dumps([shared, shared]))
    assert found[0] is found[1] is found[0][1]


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(plain, st.sampled_from(PROTOCOLS))
@settings(max_examples=60, deadline=None)
def test_any_plain_value_comes_back(value: Any, protocol: int) -> None:
    assert load_plain(pickle.dumps(value, protocol)) == value


# -- programs ----------------------------------------------------------------------------------------------------------


class _Calls:
    def __init__(self, act: Any, *values: Any) -> None:
        self._call = act, values

    def __reduce__(self) -> Any:
        return self._call


class _Stateful:
    def __init__(self) -> None:
        self.x = 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        _Calls(os.system, "touch ran"),
        _Calls(eval, "open('ran', 'w')"),
        _Calls(exec, "open('ran', 'w')"),
        _Calls(getattr, "x", "upper"),
        _Calls(subprocess.Popen, ["touch", "ran"]),
        _Calls(Path.write_text, Path("ran"), "x"),
        _Calls(__import__, "os"),
        _Calls(io.open, "ran", "w"),
        _Calls(np.load, "ran", None, True),
        _Calls(np.fromfile, "ran"),
        _Calls(pickle.loads, b"cos\nsystem\n(S'touch ran'\ntR."),
        _Stateful(),
        Fraction(1, 2),
        decimal.Decimal(1),
        datetime.date(2020, 1, 1),
        complex(1, 2),
        range(3),
        collections.Counter("aab"),
        collections.defaultdict(list),
        np.random.default_rng(0),
        np.ma.array([1, 2]),
        np.zeros(2, [("a", "i4")]),
        np.array([object()]),
        np.array([None, {"a": 1}], dtype=object),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1j]),
        slice(1),
        int,
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_is_not_plain_is_refused(value: Any, protocol: int) -> None:
    try:
        data = pickle.dumps([{"filename": "a.mp4", "x": value}], protocol)
    except (TypeError, pickle.PicklingError):
        pytest.skip("this protocol cannot write it")
    with pytest.raises(RefusedPickleError) as caught:
        load_plain(data)
    assert caught.value.code == "forbidden", caught.value
    assert "only lists, dictionaries, numbers, texts and arrays" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",  # GLOBAL, REDUCE
        b"(S'touch ran'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'touch ran'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch ran\x85R.",  # STACK_GLOBAL from two texts
        b"\x80\x04\x8c\x08builtins\x8c\x0eeval.__class__\x93.",  # a dotted name
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x05bytes\x8c\x08__init__\x86R.",
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02O8\x85R.",  # objects
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c\x1cf4,(1000000000,1000000000)i4\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93K\x05\x85R.",  # bytes of a length
        b"\x80\x04\x8c\x08builtins\x8c\x09bytearray\x93J\xff\xff\xff\x7f\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93}\x8c\x04_act\x8c\x01xsb.",  # BUILD on one of our own
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93N}\x8c\x04_act\x8c\x01xsb.",
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93)\x81.",  # NEWOBJ
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93)}\x92.",  # NEWOBJ_EX
        b"\x80\x02\x82\x01.",  # EXT1: the registry of copyreg
        b"\x80\x02\x83\x01\x00.",
        b"\x80\x02\x84\x01\x00\x00\x00.",
        b"ccopyreg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
        b"ccopy_reg\nadd_extension\n(S'os'\nS'system'\nI1\ntR.",
        b"Pan id outside\n.",  # persistent ids
        b"S'an id'\nQ.",
        b"\x80\x05\x97.",  # buffers outside the file
        b"]}b.",  # BUILD on a list
        b"](I1\nI2\nu.",  # items set in a list
        b"}I1\na.",  # values added to a dictionary
        b"}I1\nI2\ns.",  # keys that are no texts could all collide
        b"S'abc'\n)R.",  # a call of a text
    ],
)
def test_streams_that_no_honest_writer_makes_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedPickleError) as caught:
        load_plain(data)
    assert caught.value.code == "forbidden", caught.value


def test_nothing_that_a_pickle_does_stays() -> None:
    before = {module: dict(names) for module, names in plainpickle._NAMES.items()}
    for data in (
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93}\x8c\x08__call__\x8c\x01xsb.",
        b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93N}\x8c\x08_act\x8c\x01xsb.",
    ):
        with pytest.raises(RefusedPickleError):
            load_plain(data)
    after = {module: dict(names) for module, names in plainpickle._NAMES.items()}
    assert after == before
    assert load_plain(pickle.dumps(b"ab", 1)) == b"ab"


# -- what is cut, lies about its size, or unfolds ----------------------------------------------------------------------


def _swapped(array: np.ndarray, what: bytes, by: bytes) -> bytes:
    data = pickle.dumps(array, 2)
    assert what in data
    return data.replace(what, by)


BOMBS = {
    "a memo of two thousand million places": b"Nr\xff\xff\xff\x7f.",
    "bytes of 4 GB": b"B\xff\xff\xff\xff.",
    "bytes of 2^60": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
    "a bytearray of 64 GB": b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b".",
    "a text of 2^60": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b".",
    "a frame of 2^50": b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b".",
    "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "an array of 2^40 values": _swapped(np.zeros(4, np.int8), b"K\x04\x85", b"\x8a\x06" + bytes(5) + b"\x01\x85"),
    "texts of 2^60 bytes": _swapped(np.zeros(1, "U4"), b"K\x10K\x04K", b"\x8a\x08" + bytes(7) + b"\x10K\x04K"),
}  # fmt: skip


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_small_files_reserve_no_memory(data: bytes) -> None:
    before = psutil.Process().memory_info().rss
    with contextlib.suppress(RefusedPickleError):
        load_plain(data)
    assert psutil.Process().memory_info().rss - before < 64 << 20


def test_the_number_of_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plainpickle, "OPCODES_MAX", 1000)
    with pytest.raises(RefusedPickleError, match="more than 1000 steps") as caught:
        load_plain(b"]" * 2000 + b".")
    assert caught.value.code == "too_large"


def test_the_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plainpickle, "BYTES_MAX", 10)
    with pytest.raises(RefusedPickleError, match="at most 10 are read"):
        load_plain(b"x" * 11)


@pytest.mark.parametrize(
    "around",
    [(b"\x80\x02})", b"Ns."), (b"\x80\x02()", b"Nd."), (b"\x80\x02ccollections\nOrderedDict\n]])", b"aNaa\x85R.")],
    ids=["setitem", "dict", "OrderedDict"],
)
def test_a_deep_key_is_refused_before_it_is_hashed(around: tuple[bytes, bytes]) -> None:
    """In a process of its own: hashing it ends the process."""
    script = (
        "import sys; from curation.importers.plainpickle import load_plain\n"
        "try: load_plain(sys.stdin.buffer.read())\nexcept Exception as error: print(type(error).__name__)"
    )
    data = around[0] + b"\x85" * 200_000 + around[1]
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.strip() == b"RefusedPickleError", done.stderr[-300:]


@pytest.mark.parametrize("call", [b"cbuiltins\nset\n", b"c_codecs\nencode\n"])
def test_calls_that_copy_over_and_over_are_refused(call: bytes) -> None:
    """Half of the file a value, the other half calls that copy it: the square of its size, were it done."""
    n = 20_000
    value = b"(" + b"N" * n + b"l" if b"set" in call else b"X" + struct.pack("<I", n) + b"a" * n
    data = b"(" + value + b"q\x01" + (call + b"h\x01\x85R") * (n // 20) + b"l."
    with pytest.raises(RefusedPickleError, match="copies its values") as refused:
        load_plain(data)
    assert refused.value.code == "too_large"


def test_sets_and_bytes_of_an_honest_writer_are_read() -> None:
    values = {"sets": [set(range(i)) for i in range(40)], "bytes": [bytes(range(i)) for i in range(200)]}
    for protocol in PROTOCOLS:
        assert load_plain(pickle.dumps(values, protocol))["bytes"] == values["bytes"]


def test_lists_that_unfold_a_billionfold_stay_references() -> None:
    bomb: list[Any] = ["lol"]
    for _ in range(60):
        bomb = [bomb] * 10
    assert len(load_plain(pickle.dumps(bomb))) == 10


def test_a_deep_list_is_read() -> None:
    found, depth = load_plain(b"]" * 20_000 + b"a" * 19_999 + b"."), 1
    while found:
        found, depth = found[0], depth + 1
    assert depth == 20_000


def test_every_cut_is_said() -> None:
    data = pickle.dumps([{"filename": "a.mp4", "x": np.arange(3.0), "y": np.int64(4)}], 4)
    for end in range(len(data)):
        with pytest.raises(RefusedPickleError) as caught:
            load_plain(data[:end])
        assert caught.value.code in ("damaged", "forbidden")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_never_crash(data: Any) -> None:
    whole = bytearray(
        pickle.dumps([{"filename": "a", "x": np.arange(3.0), "y": np.int64(4)}], data.draw(st.sampled_from(PROTOCOLS)))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        load_plain(bytes(whole))
    except RefusedPickleError as error:
        assert error.code in ("forbidden", "damaged", "too_large")


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        load_plain(data)
    except RefusedPickleError as error:
        assert error.message


def test_it_never_loads_what_a_pickle_names() -> None:
    assert "turtle" not in sys.modules
    with pytest.raises(RefusedPickleError, match="turtle"):
        load_plain(b"cturtle\nTurtle\n.")
    assert "turtle" not in sys.modules
