"""A machine that runs the pickles of `torch.save` and calls nothing: tensors in them stay descriptions.

What it has built is no larger than the pickle, and nothing of it was allocated on the pickle's word.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

MOST_BYTES = 1 << 22
"""Of a pickle: that of a U-Net with all that a training keeps beside it takes a fortieth."""

STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip

REBUILD = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
PARAMETER = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
ORDERED = "collections.OrderedDict"
SUBCLASS = "torch._tensor._rebuild_from_type_v2"

HARMLESS = {
    *REBUILD, *PARAMETER, ORDERED, SUBCLASS, "torch.Size", "torch.device", "torch.Tensor",
    "torch.nn.parameter.Parameter", "collections.Counter", "builtins.set", "__builtin__.set",
    "builtins.bytearray", "__builtin__.bytearray",
    "_codecs.encode", "torch.serialization._get_layout",
    *(f"torch._utils._rebuild_{kind}" for kind in (
        "tensor_v3", "qtensor", "sparse_tensor", "nested_tensor", "meta_tensor_no_storage", "wrapper_subclass",
        "device_tensor_from_numpy", "device_tensor_from_cpu_tensor",
    )),
}  # fmt: skip
"""Names that a file of tensors may hold. Those that are not read here stand for something unknown; none is called."""


class PthError(ValueError):
    """A file that is not one of tensors; the message says in a few words why."""


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names."""

    text: str

    @property
    def is_storage(self) -> bool:
        """Tell whether it is a type of memory."""
        return self.text.startswith("torch.") and self.text.endswith("Storage")

    @property
    def is_dtype(self) -> bool:
        """Tell whether it is a type of numbers."""
        module, _, name = self.text.partition(".")
        return module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)


@dataclass(frozen=True)
class Unknown:
    """Something that is not read, and what made it."""

    maker: str


@dataclass(frozen=True)
class Storage:
    """Memory that tensors lie in: its numbers, their type, and under which key the file holds them."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        """What the numbers take."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """What it takes where nothing is shared."""
        return prod(self.shape) * self.storage.dtype.itemsize

    @property
    def is_held(self) -> bool:
        """Tell whether all its numbers lie in its storage, and each once."""
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.stride, strict=True))
        return 0 in self.shape or (last < self.storage.numel and prod(self.shape) <= self.storage.numel)


class _Mark:
    """Where on the stack a collection begins."""


class Machine:
    """Runs one pickle.

    Attributes
    ----------
    storages : dict of str to Storage
        All that the pickle names.

    Parameters
    ----------
    source : bytes or mmap
        What begins with the pickle.
    """

    def __init__(self, source: bytes | mmap.mmap) -> None:
        self._source: Any = source  # pickletools takes whatever has `read` and `readline`
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def run(self) -> Any:
        """Return what the pickle builds; an mmap stands behind it then.

        Raises
        ------
        PthError
            It is damaged, or holds something else than tensors and plain values.
        """
        begin = self._source.tell() if isinstance(self._source, mmap.mmap) else 0
        try:
            for opcode, argument, place in pickletools.genops(self._source):
                if opcode.name == "STOP":
                    return self._stack.pop()
                if (place or 0) - begin > MOST_BYTES:
                    raise PthError(f"a pickle of more than {MOST_BYTES:,} bytes")
                self._step(opcode.name, argument)
        except PthError:
            raise
        # What a damaged pickle leads to: nothing to pop, no such place, no text, a collection of another kind.
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise PthError(f"damaged ({error})") from None
        raise PthError("cut off")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(_Mark)
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._marked()
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in _COLLECTIONS:
            stack.append(_COLLECTIONS[name](self._marked()))
        elif name == "APPEND":
            value = stack.pop()
            _list(stack[-1]).append(value)
        elif name == "APPENDS":
            values = self._marked()
            _list(stack[-1]).extend(values)
        elif name == "SETITEM":
            items = [stack.pop(-2), stack.pop()]
            _dict(stack[-1]).update(_items(items))
        elif name == "SETITEMS":
            items = self._marked()
            _dict(stack[-1]).update(_items(items))
        elif name == "ADDITEMS":
            self._marked()  # of a set, which is not read
        elif name == "GLOBAL":
            stack.append(_known(argument.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            called = stack.pop()
            stack.append(_known(f"{stack.pop()}.{called}"))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            stack.append(_called(stack.pop(), arguments))
        elif name == "BUILD":
            stack.pop()  # attributes, such as the versions of modules beside their weights
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        else:
            raise PthError("something else than tensors")

    def _marked(self) -> list[Any]:
        """Take all above the last mark off the stack, and the mark."""
        place = len(self._stack) - 1
        while self._stack[place] is not _Mark:
            place -= 1
            if place < 0:
                raise PthError("damaged")
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _storage(self, about: Any) -> Storage | Unknown:
        kind, made, key, _, numel, *view = about
        if kind != "storage" or not isinstance(made, Name) or not made.is_storage or any(part for part in view):
            raise PthError("something else than tensors")
        dtype = STORAGES.get(made.text.rpartition(".")[2])
        if dtype is None:
            return Unknown(made.text)
        if type(numel) is not int or numel < 0 or not isinstance(key, (str, int)):
            raise PthError("damaged")
        storage = Storage(str(key), dtype, numel)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise PthError(f"it names its storage {key} twice, and differently")
        return storage


_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list, "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple, "EMPTY_SET": lambda: Unknown("set"),
}  # fmt: skip
_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "TUPLE": tuple, "LIST": list, "DICT": lambda values: _items(values), "FROZENSET": lambda _: Unknown("frozenset"),
}  # fmt: skip


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise PthError("damaged")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if isinstance(value, Unknown):  # whose items are not read either
        return {}
    if type(value) is not dict:
        raise PthError("damaged")
    return value


def _items(values: list[Any]) -> dict[Any, Any]:
    """Return keys and values by turns as a dictionary; keys that are neither text nor number are left out.

    A tuple of tuples takes 2 to the power of its levels to hash.
    """
    return {
        key: value
        for key, value in zip(values[::2], values[1::2], strict=True)
        if isinstance(key, (str, bytes, int, float)) or key is None
    }


def _known(text: str) -> Name:
    name = Name(text)
    if not (text in HARMLESS or name.is_storage or name.is_dtype):
        raise PthError(f"it holds {text}, which was not run")
    return name


def _called(made: Any, arguments: Any) -> Any:
    """Return what a call in the pickle stands for; nothing is called."""
    if not isinstance(made, Name) or type(arguments) is not tuple:
        raise PthError("damaged")
    if made.text in PARAMETER:
        return arguments[0]
    if made.text == ORDERED:
        return {key: value for key, value in arguments[0] if isinstance(key, str)} if arguments else {}
    if made.text in REBUILD:
        return _tensor(*arguments[:4])
    if made.text == SUBCLASS:  # how, of which class, from what, with which attributes
        return _called(arguments[0], arguments[2]) if arguments[0] != made else Unknown(made.text)
    return Unknown(made.text)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any) -> StoredTensor | Unknown:
    if isinstance(storage, Unknown):
        return storage
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, Storage) or len(shape) != len(stride):
        raise PthError("damaged")
    if any(type(number) is not int or not 0 <= number < 1 << 62 for number in numbers):
        raise PthError("damaged")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))
