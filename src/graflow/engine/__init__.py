"""HOW a run proceeds: its rules, its state, its bytes. No transport."""

from graflow.core import _ports
from graflow.engine.travel import check_portable

_ports.check_portable = check_portable
