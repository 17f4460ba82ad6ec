"""The contract that every runner keeps, as tests.

Each module holds the rules about one thing; the docstring of a test is the rule.
"""

from __future__ import annotations

from graflow.testing._contract._branches import Branches
from graflow.testing._contract._control import Control
from graflow.testing._contract._events import EventRules
from graflow.testing._contract._failures import Failures
from graflow.testing._contract._groups import Groups
from graflow.testing._contract._grown import Grown
from graflow.testing._contract._items import ItemPolicies
from graflow.testing._contract._kept import Kept
from graflow.testing._contract._maps import Maps
from graflow.testing._contract._order import OrderRules
from graflow.testing._contract._results import Results
from graflow.testing._contract._retries import Retries
from graflow.testing._contract._signals import Channels, Signals
from graflow.testing._contract._turns import Turns
from graflow.testing._contract._workers import Workers


class RunnerContract(
    Results,
    OrderRules,
    Failures,
    Retries,
    Control,
    EventRules,
    Workers,
    Maps,
    ItemPolicies,
    Branches,
    Groups,
    Turns,
    Signals,
    Channels,
    Kept,
    Grown,
):
    """What every runner must do, as tests.

    The file that tests a runner derives from it, and says how to make the runner::

        class TestMine(RunnerContract):
            def make_runner(self, folder):
                return MyRunner()

    The tests wait for conditions, never for seconds. They need a folder that the workers see, and a graflow that the
    workers can import.
    """
