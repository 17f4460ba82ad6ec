"""The inputs of the contract's workflows."""

from __future__ import annotations

from pydantic import BaseModel


class Order(BaseModel, frozen=True):
    """What somebody orders."""

    name: str
    sizes: tuple[int, ...] = (1, 2)
    gift: bool = False
