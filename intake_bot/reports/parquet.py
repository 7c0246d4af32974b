"""The dataset as Parquet, where the extra package for it is installed: columns keep their types, times their zone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any


class NotInstalled(Exception):
    """pyarrow is not there. The text says how to get it."""

    def __init__(self) -> None:
        super().__init__("Parquet needs an extra package: pip install 'intake-bot[parquet]'")


NUMBERS = {"has_police": int, "paused_days": float}
"""The columns of numbers. Those of times end in ``_at``, all others are text: the same in each export, whatever is in it."""


def table(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """One table as a Parquet file. Raises NotInstalled."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise NotInstalled from None
    numbers = {int: pyarrow.int64(), float: pyarrow.float64()}

    def column(name: str, values: Sequence[Any]) -> Any:
        if name.endswith("_at"):
            return pyarrow.array(values, type=pyarrow.timestamp("us", tz="UTC"))
        if name in NUMBERS:
            return pyarrow.array(values, type=numbers[NUMBERS[name]])
        # A code is a word of an enumeration.
        return pyarrow.array([None if one is None else str(one) for one in values], type=pyarrow.string())

    out = io.BytesIO()
    parquet.write_table(pyarrow.table({name: column(name, values) for name, values in columns.items()}), out)
    return out.getvalue()
