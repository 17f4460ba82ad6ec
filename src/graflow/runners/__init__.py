"""Where workflows run."""

from graflow.runners import local as _local

__all__ = ["_local"]
