"""How values, functions and exceptions become bytes and come back, in another process if need be.

The only module that imports cloudpickle. Importable functions travel as ``module:qualname``, also where a decorator
left a task under their name; every other function travels by value. What belongs to one process (an open file, a pipe,
a loaded library) is refused, even where pickle would let it pass and hand the other process something broken.

Reading bytes runs code: read only what a trusted process wrote.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

import cloudpickle

from graflow.core._class_names import class_names
from graflow.core.outcome import Failed
from graflow.engine.attempt import exact, said
from graflow.errors import RemoteError, SerializationError

PROTOCOL: Final = 5
"""The pickle protocol of everything graflow writes: the first one with out-of-band buffers."""

Reduction = tuple[Any, ...]
"""What ``__reduce__`` gives: a callable, its arguments, and optionally state, items and a way to set the state."""

_IO_BASE: Final = io.IOBase.__mro__[1]  # the C base: unlike io.IOBase it is no ABC, so isinstance stays cheap
_BUFFERED: Final = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair)
_FILES: Final = (io.FileIO, io.TextIOWrapper, *_BUFFERED)
_HANDLES: Final = {"ctypes": ("CDLL", "PyDLL"), "multiprocessing.connection": ("Connection", "PipeConnection")}
"""Classes that pickle the bare number of a handle, by module: in another process it names something else."""


def _look_up(module: ModuleType, qualname: str) -> Any:
    """What stands in a module under a qualified name, without binding it (a method's task stays unbound)."""
    found: Any = module
    for name in qualname.split("."):
        if not isinstance(found, ModuleType | type):
            return None
        found = vars(found).get(name)
    return found.__func__ if isinstance(found, staticmethod) else found


def _is_task_of(found: object, fn: FunctionType) -> bool:
    """Whether an object is a task (anything that keeps a plain function as ``fn``) made of this very function."""
    try:
        return getattr(found, "fn", None) is fn
    except Exception:  # noqa: BLE001 - a stranger's __getattr__ may raise anything; then it is no task
        return False


def _by_value(module: str) -> bool:
    """Whether the user asked cloudpickle to carry this module, or a package it is in, by value."""
    registered = cloudpickle.list_registry_pickle_by_value()
    return any(module == name or module.startswith(f"{name}.") for name in registered)


def carry_by_value(module: ModuleType) -> None:
    """Have everything that a module defines travel by value: other processes cannot import it."""
    cloudpickle.register_pickle_by_value(module)


def _task_address(fn: FunctionType) -> tuple[str, str] | None:
    """The module and name under which another process finds the task that holds this function."""
    module = sys.modules.get(fn.__module__)
    if module is None or fn.__module__ in ("__main__", "__mp_main__") or "<locals>" in fn.__qualname__:
        return None
    found = _look_up(module, fn.__qualname__)
    if found is None or found is fn or not _is_task_of(found, fn) or _by_value(fn.__module__):
        return None
    return fn.__module__, fn.__qualname__


def _task_function(module: str, qualname: str) -> Any:
    """Find the function of a task by the name under which its module keeps it."""
    fn = getattr(_look_up(importlib.import_module(module), qualname), "fn", None)
    if fn is None:
        raise LookupError(f"module {module!r} has no task {qualname!r}")
    return fn


class Pickler(cloudpickle.Pickler):
    """cloudpickle's pickler, which finds task functions by name and refuses what belongs to one process."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=PROTOCOL)

    def reducer_override(self, obj: Any) -> Any:
        """Say how to rebuild an object; ``NotImplemented`` leaves it to pickle's own rules.

        Raises:
            pickle.PicklingError: the object is an open file or another handle of this process.
        """
        if isinstance(obj, FunctionType):
            address = _task_address(obj)
            if address is not None:
                return _task_function, address
        elif type(obj) is Failed:  # its error comes back as that of a task does
            return _failed, (dump_exception(obj.error),)
        elif isinstance(obj, _IO_BASE):
            for name in ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"):
                if obj is getattr(sys, name, None):
                    return getattr, (sys, name)
            if isinstance(obj, _FILES):
                # cloudpickle would read a text file to its end and send a copy of all of it.
                raise pickle.PicklingError("an open file cannot be pickled")
        elif type(obj).__module__ in _HANDLES and type(obj).__qualname__ in _HANDLES[type(obj).__module__]:
            raise pickle.PicklingError(f"a {type(obj).__qualname__} is a handle of this process and cannot be pickled")
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and getattr(obj, "__pydantic_complete__", False):
            # pydantic keeps all variables of the function a model was defined in, to resolve annotations: done by now.
            reduced[2][0].pop("__pydantic_parent_namespace__", None)
        return reduced


class _Scale:
    """A file that keeps nothing but the number of bytes written."""

    size = 0

    def write(self, data: bytes) -> None:
        self.size += memoryview(data).nbytes


class _ShallowPickler(Pickler):
    """Pickles one object and skips all it consists of: fails only if the object itself is at fault."""

    _started = False

    def persistent_id(self, obj: Any) -> Any:
        if self._started:
            return 0
        self._started = True
        return None


def _write(obj: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file).dump(obj)
    return file.getvalue()


def dumps(obj: Any) -> bytes:
    """Pickle an object, functions included.

    Raises:
        SerializationError: the object cannot travel; the message has the path to every culprit, why, and the cure.
            What pickling raised is its cause.
    """
    try:
        return _write(obj)
    except Exception as error:  # pickling runs the classes' own code, which may raise anything
        from graflow.engine import portable  # portable imports this module

        raise SerializationError(portable.complaint(obj, error)) from error


def loads(data: bytes) -> Any:
    """Rebuild what ``dumps`` wrote; this runs code that the bytes name, so they must come from a trusted process.

    Raises:
        SerializationError: the bytes are damaged, or this process lacks a module, a class or a task they name.
            What unpickling raised is its cause.
    """
    try:
        return pickle.loads(data)
    except Exception as error:  # unpickling calls constructors, which may raise anything
        lacks = isinstance(error, ImportError | AttributeError | LookupError)
        hint = "; is the same version of the code installed in this process?" if lacks else ""
        message = f"cannot rebuild a value from {len(data)} bytes: {type(error).__name__}: {said(error)}{hint}"
        raise SerializationError(message) from error


def failure(obj: Any) -> Exception | None:
    """What pickling an object raises; None if it can travel."""
    try:
        weigh(obj)
    except Exception as error:  # noqa: BLE001 - the answer, whatever it is
        return error
    return None


def weigh(obj: Any) -> int:
    """How many bytes ``dumps`` would write, found without keeping them.

    Raises:
        Exception: whatever pickling the object raises.
    """
    scale = _Scale()
    Pickler(scale).dump(obj)
    return scale.size


def own_failure(obj: Any) -> Exception | None:
    """What pickling this very object raises, if everything it consists of were fine; None if it is fine itself."""
    try:
        _ShallowPickler(_Scale()).dump(obj)
    except Exception as error:  # noqa: BLE001 - the answer, whatever it is
        return error
    return None


def reduction(obj: Any) -> Reduction | None:
    """What the pickler takes an object apart into; None for what travels by name.

    Raises:
        Exception: whatever the object's own ``__reduce_ex__`` raises.
    """
    pickler = Pickler(_Scale())
    reduced: Any = pickler.reducer_override(obj)
    if reduced is NotImplemented:
        if isinstance(obj, FunctionType | type):
            return None
        kind: type = type(obj)
        reducer: Any = pickler.dispatch_table.get(kind)
        reduced = reducer(obj) if reducer is not None else obj.__reduce_ex__(PROTOCOL)
    return None if isinstance(reduced, str) else reduced  # the name of a global


# -- exceptions -------------------------------------------------------------------------------------------------------

_MOST_LINKED: Final = 1000
"""How many exceptions of one chain, members of groups included, travel as objects."""
_ORIGIN: Final = "raised in process "


class _Packed(NamedTuple):
    """One exception of a chain; other exceptions are named by their place in the chain."""

    body: bytes | None  # None: could not be pickled
    bases: tuple[str, ...]  # the names of its classes, its own first
    message: str
    notes: list[str]
    loss: str
    frozen: bool  # a frozen dataclass: pickle would set its attributes, which it refuses
    members: list[int] | None  # None: not a group
    cause: int | None
    context: int | None
    suppress_context: bool


def dump_exception(exc: BaseException) -> bytes:
    """Pack an exception to be raised in another process: type, arguments, notes, causes, and its traceback as text.

    Never raises: of an exception that cannot be pickled, the names and texts are packed.
    """
    chain = _chain(exc)
    places = {id(link): place for place, link in enumerate(chain)}
    packed = [_pack(link, places) for link in chain]
    is_told = any(note.startswith(_ORIGIN) for note in packed[0].notes)  # it came from yet another process
    origin = "" if is_told else f"{_ORIGIN}{os.getpid()}:\n{_traceback_text(exc)}"
    return pickle.dumps((origin, packed), PROTOCOL)


def load_exception(data: bytes) -> BaseException:
    """Rebuild what ``dump_exception`` packed, with the text of its traceback as a note.

    Never raises: what cannot be rebuilt (its class is unknown here, its constructor does not take its arguments) comes
    back as a ``RemoteError`` with the names of its classes, the message and the notes.
    """
    try:
        origin, packed = pickle.loads(data)
        rebuilt: dict[int, BaseException] = {}
        for place in range(len(packed)):
            _rebuild(place, packed, rebuilt)
        for place, one in enumerate(packed):
            _set(rebuilt[place], "__cause__", rebuilt.get(one.cause))
            _set(rebuilt[place], "__context__", rebuilt.get(one.context))
            _set(rebuilt[place], "__suppress_context__", one.suppress_context)
        if origin:
            _note(rebuilt[0], origin)
        return rebuilt[0]
    except Exception as error:  # noqa: BLE001 - whoever reads an error must not meet another one
        return RemoteError("unknown", f"an exception whose {len(data)} bytes cannot be read: {said(error)}")


def _failed(data: bytes) -> Failed:
    return Failed(load_exception(data))


def _chain(exc: BaseException) -> list[BaseException]:
    """The exception, the members of groups, causes and contexts, each once, nearest first."""
    chain = [exc]
    seen = {id(exc)}
    for link in chain:  # grows while it is read
        for other in (*(_members(link) or ()), link.__cause__, link.__context__):
            if other is not None and id(other) not in seen and len(chain) < _MOST_LINKED:
                seen.add(id(other))
                chain.append(other)
    return chain


def _members(exc: BaseException) -> tuple[BaseException, ...] | None:
    """The exceptions of a group, None for any other exception."""
    is_group: bool = isinstance(exc, BaseExceptionGroup)
    members: Any = getattr(exc, "exceptions", None)
    return members if is_group else None


def _pack(exc: BaseException, places: Mapping[int, int]) -> _Packed:
    members = _members(exc)
    frozen = getattr(getattr(type(exc), "__dataclass_params__", None), "frozen", False)
    body: bytes | None = None
    loss = ""
    try:
        # The members of a group travel one by one: a bad one must not cost the others.
        if members is not None:
            body = _write((type(exc), exc.args[0], vars(exc)))
        else:
            body = _write((type(exc), exc.args, vars(exc)) if frozen else (exc, exc.args))
        if members is not None and any(id(member) not in places for member in members):
            loss = f"only the first {_MOST_LINKED} exceptions travelled"
    except Exception as error:  # noqa: BLE001 - its class may raise anything
        loss = f"it cannot be pickled: {type(error).__name__}: {said(error)}"
    return _Packed(
        body=body,
        bases=class_names(type(exc)),
        message=said(exc),
        notes=_notes(exc),
        loss=loss,
        frozen=frozen,
        members=None if members is None else [places[id(member)] for member in members if id(member) in places],
        cause=places.get(id(exc.__cause__)),
        context=places.get(id(exc.__context__)),
        suppress_context=exc.__suppress_context__,
    )


def _rebuild(place: int, packed: Sequence[_Packed], rebuilt: dict[int, BaseException]) -> BaseException:
    """Rebuild one exception of a chain, and before it the members it groups."""
    if place in rebuilt:
        return rebuilt[place]
    one = packed[place]
    loss = one.loss
    exc: Any = None
    try:
        if one.members is not None:
            members = [_rebuild(member, packed, rebuilt) for member in one.members]
            exc = _rebuild_group(one, members)
        elif one.body is not None and one.frozen:
            cls, args, attributes = pickle.loads(one.body)
            exc = cls.__new__(cls, *args)
            for name, value in attributes.items():
                _set(exc, name, value)
        elif one.body is not None:
            exc, args = pickle.loads(one.body)
            # A constructor that composes its message is now handed the composed one, and composes again.
            _set(exc, "args", args)
    except Exception as error:  # noqa: BLE001 - its constructor may raise anything
        loss = f"{type(error).__name__}: {said(error)}"
        exc = None
    if not isinstance(exc, BaseException):
        exc = RemoteError(one.bases[0], one.message, one.bases)
        for note in (*one.notes, f"the exception itself could not be rebuilt here: {loss}"):
            _note(exc, note)
    rebuilt[place] = exc
    return rebuilt[place]


def _rebuild_group(one: _Packed, members: list[BaseException]) -> Any:
    if one.body is None:
        raise SerializationError(one.loss)
    cls, message, attributes = pickle.loads(one.body)
    try:
        group = cls(message, members)
    except Exception:  # noqa: BLE001 - a constructor of its own, or a type that no longer fits its members
        group = BaseExceptionGroup(message, members)
    for name, value in attributes.items():
        _set(group, name, value)
    if one.loss:
        _note(group, one.loss)
    return group


def _set(exc: object, name: str, value: object) -> None:
    object.__setattr__(exc, name, value)  # past the __setattr__ of exceptions that are frozen dataclasses


def _notes(exc: BaseException) -> list[str]:
    notes: Any = getattr(exc, "__notes__", None)
    return [exact(note) for note in notes if isinstance(note, str)] if type(notes) in (list, tuple) else []


def _note(exc: BaseException, note: str) -> None:
    _set(exc, "__notes__", [*_notes(exc), note])


def _traceback_text(exc: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except Exception:  # noqa: BLE001 - formatting calls __str__ of everything in the chain
        return f"{class_names(type(exc))[0]}: {said(exc)} (its traceback could not be formatted)"
