"""A hint to the processor that a row of an array will be read soon: no result, and none is ever needed."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch(typing_context: Any, array: Any, row: Any) -> Any:
    """`prefetch(array, row)`: begin to fetch the start of row `row` (uint64, inside the array) into the first cache."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = cgutils.create_struct_proxy(signature.args[0])(context, builder, values[0])
        stride = cgutils.unpack_tuple(builder, view.strides)[0]
        whole, byte, flag = ir.IntType(64), ir.IntType(8), ir.IntType(32)
        place = builder.add(builder.ptrtoint(view.data, whole), builder.mul(values[1], stride))
        pointer = builder.inttoptr(place, byte.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, flag(0), flag(3), flag(1)])  # to read; keep it near; data
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate
