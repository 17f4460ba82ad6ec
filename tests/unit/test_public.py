"""What users can import, and what importing it costs."""

import subprocess
import sys

import graflow

# Every public name, by heart: adding one is a decision, removing one breaks somebody.
PUBLIC = [
    "AttemptRecord",
    "Block",
    "Cache",
    "CacheKeyError",
    "CancelRun",
    "Channel",
    "ConfigurationError",
    "ContinuationLimitError",
    "Current",
    "CycleError",
    "DefinitionError",
    "DefinitionErrors",
    "DuplicateTaskError",
    "Edge",
    "Exponential",
    "Failed",
    "FlagError",
    "GraflowError",
    "GraflowWarning",
    "Group",
    "GroupRule",
    "GroupRuleError",
    "InternalError",
    "InvalidConfigError",
    "InvalidTaskError",
    "InvalidTaskIdError",
    "LateBindingError",
    "LateBindingWarning",
    "Limit",
    "LocalRunner",
    "MapError",
    "MapTask",
    "Ok",
    "Outcome",
    "PlaceholderError",
    "Plan",
    "PortabilityWarning",
    "QueueBackend",
    "RemoteError",
    "ResultUnavailableError",
    "Retry",
    "Run",
    "RunCancelledError",
    "RunConflictError",
    "RunError",
    "RunFailedError",
    "RunHandle",
    "RunState",
    "RunTimeoutError",
    "Runner",
    "SerializationError",
    "Signal",
    "SignalError",
    "Skipped",
    "Standing",
    "StoreError",
    "Task",
    "TaskRecord",
    "TaskResultError",
    "TaskState",
    "TaskTimeoutError",
    "TaskWrapper",
    "TemplateWarning",
    "UnboundParameterError",
    "UnknownTaskError",
    "WiringError",
    "WorkerLostError",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowChangedError",
    "at_least",
    "continue_with",
    "critical",
    "current",
    "each",
    "first_of",
    "inputs",
    "signal",
    "stop_run",
    "task",
    "workflow",
]

# What `import graflow` leaves alone; each comes with the first call that needs it.
LATER = [
    "asyncio",
    "click",
    "cloudpickle",
    "concurrent.futures.process",
    "graflow.cli",
    "graflow.engine.codec",
    "graflow.show.html",
    "graflow.show.layout",
    "graflow.testing",
    "multiprocessing",
    "numpy",
    "pydantic",
    "redis",
    "rich",
    "rustworkx",
    "opentelemetry",
    "pytest",
    "sqlite3",
]


def modules_after(code: str) -> list[str]:
    """The modules that a new interpreter has loaded after the code."""
    script = f"import sys\n{code}\nprint(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_the_public_names_are_these() -> None:
    assert graflow.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


def test_every_public_name_is_there_and_no_other() -> None:
    missing = [name for name in PUBLIC if not hasattr(graflow, name)]
    assert not missing
    submodules = {name.split(".")[1] for name in sys.modules if name.startswith("graflow.")}
    visible = [name for name in dir(graflow) if not name.startswith("_") and name not in submodules | {"annotations"}]
    # A function may share its name with a submodule nobody has loaded yet, so compare what is left of both.
    assert visible == [name for name in PUBLIC if name not in submodules]


def test_every_public_name_has_a_docstring() -> None:
    # An alias of types cannot carry one.
    silent = [name for name in PUBLIC if name != "Outcome" and not (getattr(graflow, name).__doc__ or "").strip()]
    assert not silent


def test_star_import_gives_the_public_names() -> None:
    scope: dict[str, object] = {}
    exec("from graflow import *", scope)
    assert sorted(name for name in scope if not name.startswith("__")) == PUBLIC


def test_importing_graflow_loads_nothing_heavy() -> None:
    bare = modules_after("")
    loaded = modules_after("import graflow")
    assert [name for name in LATER if name in loaded and name not in bare] == []


def test_help_answers_without_loading_what_runs_need() -> None:
    code = (
        "from graflow.cli import main\n"
        "sys.argv = ['graflow', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    loaded = modules_after(code)
    heavy = ["asyncio", "cloudpickle", "numpy", "redis", "rustworkx"]
    assert [name for name in heavy if name in loaded] == []
    # An interpreter with click loads about 150 modules; a careless import at the top doubles that.
    assert len(loaded) - len(modules_after("")) < 250
