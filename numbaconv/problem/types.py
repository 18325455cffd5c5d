"""The types of arguments that many doors share: one owner for the names that they take."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

#: One int for all spatial axes, or one per axis.
IntOrAxes: TypeAlias = int | Sequence[int]
#: As `IntOrAxes`, or a (low, high) pair per axis, or a name.
PaddingName: TypeAlias = Literal["valid", "same", "same_lower"]
Padding: TypeAlias = int | Sequence[int] | Sequence[tuple[int, int]] | PaddingName
#: What the padding holds.
PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "symmetric"]
#: Where the channel axis stands.
Layout: TypeAlias = Literal["channels_first", "channels_last"]
#: Which way patches lie in their matrix.
Patches: TypeAlias = Literal["columns", "rows"]
#: How a convolution is computed.
Algorithm: TypeAlias = Literal[
    "auto", "exact", "im2col", "direct", "depthwise", "winograd", "fft"
]  # fmt: skip
