"""From names to callables: registered ones, and those of the modules that may be imported."""

from __future__ import annotations

import builtins
import importlib
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any, TypeAlias, TypeGuard

from graflow.core.config._keys import Keys, Mistake, suggestion
from graflow.core.task import Task
from graflow.errors import ConfigurationError, DefinitionError

Registry: TypeAlias = "Mapping[str, Any] | Iterable[Any] | None"


def address(thing: Any) -> str | None:
    """The ``module:name`` of a function or class, as it says itself; None if it has none."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    return f"{module}:{name}"


def importable(thing: Any) -> tuple[str, Any] | None:
    """The address under which a function or class stands, itself or as a task, and what stands there."""
    at = address(thing)
    if at is None:
        return None
    module, _, name = at.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    if found is thing or (isinstance(found, Task) and found.fn is thing):
        return at, found
    return None


def registered(registry: Registry) -> dict[str, Any]:
    """What is registered, by name.

    Raises:
        ConfigurationError: the registry is none, or has two things under one name.
    """
    if registry is None:
        return {}
    if isinstance(registry, Mapping):
        return dict(registry)
    if isinstance(registry, str) or not isinstance(registry, Iterable):
        raise ConfigurationError(f"registry= takes a mapping from names to tasks, or tasks, not {registry!r}")
    found: dict[str, Any] = {}
    for one in registry:
        name = one.id if isinstance(one, Task) else getattr(one, "__name__", None)
        if not isinstance(name, str):
            raise ConfigurationError(f"{one!r} has no name to be registered under; pass a mapping: {{'name': ...}}")
        if found.setdefault(name, one) is not one:
            raise ConfigurationError(
                f"two things of the registry have the name {name!r}; pass a mapping, {{'name': ...}}"
            )
    return found


class Names:
    """Finds what names mean.

    Args:
        registry: tasks, callables and models, by name or by their own ids.
        modules: what may be imported: these modules, and those below them.

    Raises:
        ConfigurationError: an argument that can be neither.
    """

    def __init__(self, registry: Registry, modules: Iterable[str]) -> None:
        if isinstance(modules, str):
            raise ConfigurationError(f"modules= takes several names, not the text {modules!r}; pass [{modules!r}]")
        self.modules = tuple(modules)
        self.registered = registered(registry)
        self._by_address: dict[str, Any] = {}
        for thing in self.registered.values():
            at = address(thing.fn if isinstance(thing, Task) else thing)
            if at is not None:
                self._by_address.setdefault(at, thing)
        self._tasks: dict[str, Task[..., Any]] = {}

    def task(self, name: str, keys: Keys) -> Task[..., Any]:
        """The task of this name.

        Raises:
            Mistake: there is none.
        """
        if name not in self._tasks:
            found = self._found(name, keys, "task")
            if not isinstance(found, Task):
                try:
                    found = Task(name.rpartition(":")[2].rpartition(".")[2], found)
                except DefinitionError as error:
                    raise Mistake(keys, f"{name!r} cannot be a task: {error}") from error
            self._tasks[name] = found
        return self._tasks[name]

    def model(self, name: str, keys: Keys) -> Any:
        """The pydantic model of this name.

        Raises:
            Mistake: there is none.
        """
        found = self._found(name, keys, "model")
        if not (isinstance(found, type) and hasattr(found, "model_fields")):
            raise Mistake(keys, f"{name!r} is no pydantic model, which a workflow's inputs need, but {found!r}")
        return found

    def exception(self, name: str, keys: Keys) -> type[BaseException]:
        """The exception class of this name; builtin ones need no module.

        Raises:
            Mistake: there is none.
        """
        found: Any = getattr(builtins, name.removeprefix("builtins:"), None)
        if not _is_exception(found):
            found = self._found(name, keys, "exception")
        if not _is_exception(found):
            raise Mistake(keys, f"{name!r} is no exception class, but {found!r}")
        return found

    def _found(self, name: str, keys: Keys, what: str) -> Any:
        for known in (self.registered, self._by_address):
            if name in known:
                return known[name]
        if ":" in name:
            return self._imported(name, keys)
        there = [one for one, thing in self.registered.items() if _kind(thing) == what]
        if what == "exception":
            cure = _exception_cure(name, there)
        elif there:
            cure = suggestion(name, there)
        else:
            cure = "pass registry=..., or write module:name and allow the module, modules=[...]"
        raise Mistake(keys, f"no {what} is registered as {name!r}; {cure}")

    def _imported(self, name: str, keys: Keys) -> Any:
        module, _, attribute = name.partition(":")
        parts = attribute.split(".")
        if not all(part.isidentifier() for part in (*module.split("."), *parts)):
            raise Mistake(keys, f"{name!r} is not of the form module:name")
        if not self._allowed(module):
            raise Mistake(keys, f"{name!r} is not imported: {self._refusal(module)}")
        if any(part.startswith("__") for part in parts):
            raise Mistake(keys, f"{name!r} is not looked up: such names are kept for Python itself")
        try:
            found: Any = importlib.import_module(module)
        except Exception as error:  # a module may raise anything while it is loaded
            raise Mistake(keys, f"module {module!r} cannot be imported: {type(error).__name__}: {error}") from error
        for k, part in enumerate(parts):
            if not hasattr(found, part):
                names = [one for one in vars(found) if not one.startswith("_")] if hasattr(found, "__dict__") else []
                owner = f"module {module!r}" if k == 0 else repr(".".join(parts[:k]))
                raise Mistake(keys, f"{owner} has no {part!r}; {suggestion(part, names)}")
            found = getattr(found, part)
            if isinstance(found, ModuleType):
                raise Mistake(keys, f"{part!r} in {name!r} is a module; write its own name, {found.__name__}:...")
        return self._own(found, name, keys)

    def _own(self, found: Any, name: str, keys: Keys) -> Any:
        """Refuse what an allowed module has only imported: ``from os import system`` allows nobody to call it."""
        if isinstance(found, Task):
            return found
        home = getattr(found, "__module__", None)
        if not callable(found):
            raise Mistake(keys, f"{name!r} is neither a task nor callable, but {found!r}")
        if not isinstance(home, str) or not self._allowed(home):
            where = f"module {home!r}" if home else "no module"
            raise Mistake(
                keys, f"{name!r} was defined in {where}, which is not allowed; add it to modules=, or register it"
            )
        return found

    def _allowed(self, module: str) -> bool:
        return any(module == one or module.startswith(f"{one}.") for one in self.modules)

    def _refusal(self, module: str) -> str:
        allowed = f"only {', '.join(self.modules)} and what lies below" if self.modules else "no module"
        return f"{allowed} may be; allow it with modules=[{module!r}], or register the task"


def _is_exception(thing: object) -> TypeGuard[type[BaseException]]:
    return isinstance(thing, type) and issubclass(thing, BaseException)


def _kind(thing: object) -> str:
    """What a registered thing can be named as."""
    if _is_exception(thing):
        return "exception"
    return "model" if isinstance(thing, type) and hasattr(thing, "model_fields") else "task"


def _exception_cure(name: str, there: list[str]) -> str:
    known = [*there, *(one for one, thing in vars(builtins).items() if _is_exception(thing) and thing.__name__ == one)]
    if get_close_matches(name, known, n=1):
        return suggestion(name, known)
    return "write a builtin one, such as OSError, or module:name of an allowed module, or register it"


def lacks_library(mistake: Mistake) -> bool:
    """Is this about a module that is there, but cannot be imported without another one?"""
    error = mistake.__cause__
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    named = re.search(r"^module '([^']+)'", mistake.reason)
    return named is not None and not f"{named[1]}.".startswith(f"{error.name}.")
