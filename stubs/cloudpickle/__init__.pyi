from collections.abc import Callable, Mapping, MutableMapping
from pickle import PickleBuffer
from pickle import Pickler as _PicklePickler
from pickle import load as load
from pickle import loads as loads
from types import ModuleType
from typing import Any, ClassVar, Protocol, TypeAlias

__all__ = [
    "__version__",
    "Pickler",
    "CloudPickler",
    "dumps",
    "loads",
    "dump",
    "load",
    "register_pickle_by_value",
    "unregister_pickle_by_value",
]

class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...

_OnBuffer: TypeAlias = Callable[[PickleBuffer], Any]
_Reducer: TypeAlias = Callable[[Any], Any]

__version__: str
DEFAULT_PROTOCOL: int

class Pickler(_PicklePickler):
    dispatch: ClassVar[MutableMapping[type, _Reducer]]
    dispatch_table: Mapping[type, _Reducer]
    globals_ref: dict[int, dict[str, Any]]
    proto: int
    def __init__(self, file: _Sink, protocol: int | None = None, buffer_callback: _OnBuffer | None = None) -> None: ...
    def dump(self, obj: Any) -> None: ...
    def reducer_override(self, obj: Any) -> Any: ...

CloudPickler = Pickler

def dump(obj: Any, file: _Sink, protocol: int | None = None, buffer_callback: _OnBuffer | None = None) -> None: ...
def dumps(obj: Any, protocol: int | None = None, buffer_callback: _OnBuffer | None = None) -> bytes: ...
def register_pickle_by_value(module: ModuleType) -> None: ...
def unregister_pickle_by_value(module: ModuleType) -> None: ...
def list_registry_pickle_by_value() -> set[str]: ...
