"""From what the user typed to a workflow: ``FILE.py``, ``FILE.py:NAME``, ``MODULE`` or ``MODULE:NAME``."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from traceback import format_exception_only
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.cli._trouble import Trouble, short_path, user_traceback
from graflow.show.progress import error_text

if TYPE_CHECKING:
    from graflow.core.workflow import Workflow

#: The module that a file is loaded as: the name that Python's own worker processes give to the main file. What is
#: defined in it counts as the script's, but ``if __name__ == "__main__"`` does not hold.
FILE_MODULE = "__mp_main__"


class Target(NamedTuple):
    """What the user typed, taken apart."""

    source: str
    """A file or a module."""
    is_file: bool
    name: str
    """Empty if none was given."""

    def with_name(self, name: str) -> str:
        """How to name one thing in it."""
        return f"{self.source}:{name}"


def load(text: str, app_dir: str | None = None) -> Workflow[Any, Any]:
    """Load the file or module, and find the workflow in it.

    What the module prints while it loads goes to standard error, because standard output is kept for the answer.

    Args:
        text: what the user typed.
        app_dir: a directory in which modules are looked for besides the usual places.

    Raises:
        Trouble: there is no such file, module or workflow, or the user's code failed.
    """
    target = parse(text)
    if app_dir is not None:
        if not os.path.isdir(app_dir):
            raise Trouble(f"--app-dir {app_dir}: there is no such directory")
        sys.path.insert(0, os.path.abspath(app_dir))
    with contextlib.redirect_stdout(sys.stderr):
        module = _load_file(target.source) if target.is_file else _import(target.source, app_dir)
        return _named(module, target) if target.name else _only(module, target)


def parse(text: str) -> Target:
    """Take apart what the user typed."""
    source, colon, name = text.rpartition(":")
    if not colon or text.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        source, name = text, ""
    return Target(source, source.endswith(".py") or os.sep in source, name)


def _load_file(file: str) -> ModuleType:
    """Load a file as Python would load a script, but for its ``if __name__ == "__main__"`` part."""
    if os.path.isdir(file):
        raise Trouble(f"{file} is a directory; name a file in it")
    if not os.path.isfile(file):
        raise Trouble(f"there is no file {file}")
    path = os.path.realpath(file)
    module = ModuleType(FILE_MODULE)
    module.__file__ = path
    sys.path.insert(0, os.path.dirname(path))
    sys.modules[FILE_MODULE] = module
    _travel_by_value(module)
    with _users_errors(file):
        loader = SourceFileLoader(FILE_MODULE, path)
        exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)
    return module


def _travel_by_value(module: ModuleType) -> None:
    """Let the processes of a run get what the file defines by value, for they cannot import it."""
    from graflow.engine import codec

    codec.carry_by_value(module)


def _import(name: str, app_dir: str | None) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise Trouble(f"{name!r} is neither a file nor the name of a module")
    with _users_errors(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module is there, and misses another one
            file = name.replace(".", os.sep) + ".py"
            if os.path.isfile(file):
                cure = f"did you mean the file {file}?"
            else:
                cure = "install it" if app_dir else "install it, or say where it lies with --app-dir DIR"
            raise Trouble(f"there is no module {error.name!r}; {cure}") from error


@contextlib.contextmanager
def _users_errors(source: str) -> Iterator[None]:
    """Whatever the user's code raises becomes a message that shows where."""
    from graflow.errors import DefinitionError

    try:
        yield
    except (KeyboardInterrupt, Trouble):
        raise
    except DefinitionError as error:
        raise Trouble(_definition_message(source, error)) from error
    except SyntaxError as error:
        where = f"{short_path(error.filename)}:{error.lineno}" if error.filename else source
        shown = "".join(format_exception_only(error)[1:-1]).rstrip()  # the line, and a mark under the place
        raise Trouble(f"{where}: {type(error).__name__}: {error.msg}\n{shown}{user_traceback(error)}") from error
    except BaseException as error:  # a module may raise anything, and may call sys.exit()
        raise Trouble(f"{source} failed while it was loaded: {error_text(error)}{user_traceback(error)}") from error


def _definition_message(source: str, error: Exception) -> str:
    errors = list(leaves(error))
    count = f"{len(errors)} definition errors" if len(errors) > 1 else "a definition error"
    listed = "".join(f"\n- {error_text(one)}" for one in errors)
    return f"{source} has {count}:{listed}{user_traceback(error)}"


def leaves(error: Exception) -> Iterator[Exception]:
    """The errors of a group, at any depth; or the error itself."""
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


# ── finding the workflow ────────────────────────────────────────────────────────────────────────────────────────────


def _named(module: ModuleType, target: Target) -> Workflow[Any, Any]:
    found: Any = module
    for part in target.name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Trouble(f"{target.source} has no {target.name!r}; {_offer(module, target)}") from None
    from graflow.core.placeholder import Placeholder

    # A placeholder refuses to be looked at as a function.
    is_function = type(found) is not Placeholder and callable(found) and not isinstance(found, type)
    if is_function and _workflow_in(found) is None and not _mistaken(found):
        found = _called(found, target)
    workflow = _workflow_in(found)
    if workflow is None:
        raise Trouble(f"{target.with_name(target.name)} {_mistaken(found) or f'is {_a(found)}'}")
    return workflow


def _called(function: Any, target: Target) -> Any:
    """What a function without parameters gives."""
    whole = target.with_name(target.name)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return function
    required = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if required:
        raise Trouble(
            f"{whole} is a function that needs {', '.join(required)}; name one without parameters, or a workflow"
        )
    with _users_errors(whole):
        made = function()
    if _workflow_in(made) is None:
        raise Trouble(f"{whole}() gave {_a(made)}, not a workflow{_comma(_mistaken(made))}")
    return made


def _only(module: ModuleType, target: Target) -> Workflow[Any, Any]:
    """The one workflow of a module."""
    found = _workflows(module)
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        one = target.with_name(next(iter(found)))
        raise Trouble(f"{target.source} has {len(found)} workflows: {', '.join(found)}; name one, such as {one}")
    raise Trouble(f"{target.source} has no workflow; {_offer(module, target)}")


def _workflows(module: ModuleType) -> dict[str, Workflow[Any, Any]]:
    """The workflows of a module by name; one with two names, such as a block and its workflow, counts once."""
    found: dict[str, Workflow[Any, Any]] = {}
    seen: list[Workflow[Any, Any]] = []
    for name, value in vars(module).items():
        workflow = _workflow_in(value) if not name.startswith("_") else None
        if workflow is not None and not any(workflow is other for other in seen):
            seen.append(workflow)
            found[name] = workflow
    return found


def _offer(module: ModuleType, target: Target) -> str:
    """What the user could name, or do, instead."""
    found = list(_workflows(module))
    if target.name and found:
        from difflib import get_close_matches

        close = get_close_matches(target.name, found, n=1)
        return f"did you mean {target.with_name(close[0])}?" if close else f"its workflows are: {', '.join(found)}"
    for name, value in vars(module).items():
        if not name.startswith("_") and not isinstance(value, ModuleType) and (reason := _mistaken(value)):
            return f"{name!r} {reason}"
    makers = [name for name, value in vars(module).items() if inspect.isfunction(value) and _gives_workflow(value)]
    if makers and not target.name:
        return f"name the function that makes one: {target.with_name(makers[0])}"
    return "define one at its top level: flow = Workflow.builder(...)....build()"


def _gives_workflow(function: Any) -> bool:
    return str(function.__annotations__.get("return", "")).rpartition(".")[2].startswith(("Workflow[", "Workflow'>"))


def _workflow_in(value: Any) -> Workflow[Any, Any] | None:
    """A workflow, or that of an outermost block that was closed."""
    from graflow.core.block import Block
    from graflow.core.workflow import Workflow

    if isinstance(value, Workflow):
        return value
    return value._workflow if isinstance(value, Block) else None


def _mistaken(value: Any) -> str:
    """Why something that is nearly a workflow is none; empty for everything else."""
    from graflow.core.block import Block
    from graflow.core.builder import WorkflowBuilder
    from graflow.core.task import Task

    if isinstance(value, WorkflowBuilder):
        return "is a builder that was never built; add .build()"
    if isinstance(value, Block):
        if value._outer is not None:
            return f"is a block inside another one; name the outermost block, {value._outer.name!r}"
        return "is a block that ended with an error" if value._closed else "is a block whose `with` has not ended"
    if isinstance(value, Task):
        return f"is the task {value.id!r}, not a workflow; put it into one: Workflow.of(name, {value.id}, returns=...)"
    return ""


def _comma(text: str) -> str:
    return f": it {text}" if text else ""


def _a(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
