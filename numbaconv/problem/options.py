"""What a caller asks for beside arrays: made at the door, in the caller's own words.

Nothing is checked yet: `ConvGeometry.parse` and its kin do that, once for each problem, for the
memo (`numbaconv.running.memo`) knows options that it has seen.
"""

from typing import Any, NamedTuple


class ConvOptions(NamedTuple):
    """What is asked of a convolution, or of a transposed one.

    Attributes
    ----------
    ndim : int
        The number of spatial axes.
    stride, padding, dilation, groups, padding_mode, layout, dtype, algorithm
        As the caller passed them.
    output_padding, output_size
        Of a transposed convolution, as the caller passed them.
    transposed : bool
        Whether it is the adjoint that is asked for.
    """

    ndim: int
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: Any = 1
    output_padding: Any = 0
    output_size: Any = None
    padding_mode: Any = "zeros"
    layout: Any = "channels_first"
    dtype: Any = None
    algorithm: Any = "auto"
    transposed: bool = False

    @property
    def numbers(self) -> tuple[Any, ...]:
        """What should be numbers: 1.0 and True equal 1, so that the memo looks at them."""
        return self[1:7]


class PoolOptions(NamedTuple):
    """What is asked of a pool.

    Attributes
    ----------
    ndim : int
        The number of spatial axes.
    kernel_size, stride, padding, dilation, ceil_mode, layout
        As the caller passed them; a stride of None is the kernel.
    count_include_pad, divisor_override
        What a mean is divided by, as the caller passed them.
    """

    ndim: int
    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    divisor_override: Any = None
    ceil_mode: Any = False
    count_include_pad: Any = True
    layout: Any = "channels_first"

    @property
    def numbers(self) -> tuple[Any, ...]:
        """What should be numbers, as in `ConvOptions`."""
        return self[1:6]


class UnpoolOptions(NamedTuple):
    """What is asked of unpooling: the pool's window, and the size of the result.

    Attributes
    ----------
    ndim : int
        The number of spatial axes.
    kernel_size, stride, padding, output_size, layout
        As the caller passed them.
    """

    ndim: int
    kernel_size: Any
    stride: Any
    padding: Any
    output_size: Any
    layout: Any


class ScatterOptions(NamedTuple):
    """What is asked of a max pool's backward pass.

    Attributes
    ----------
    ndim : int
        The number of spatial axes.
    input_shape, layout
        As the caller passed them.
    """

    ndim: int
    input_shape: Any
    layout: Any

    @property
    def numbers(self) -> tuple[Any, ...]:
        """What should be numbers, as in `ConvOptions`."""
        return (self.input_shape,)


class PatchOptions(NamedTuple):
    """What is asked of im2col and col2im.

    Attributes
    ----------
    kernel_size, dilation, padding, stride, padding_mode, layout, patches
        As the caller passed them.
    output_size
        Of what col2im folds to; not of im2col.
    """

    kernel_size: Any
    dilation: Any
    padding: Any
    stride: Any
    output_size: Any
    padding_mode: Any
    layout: Any
    patches: Any

    @property
    def numbers(self) -> tuple[Any, ...]:
        """What should be numbers, as in `ConvOptions`."""
        return self[:5]


class AdaptiveOptions(NamedTuple):
    """What is asked of an adaptive pool.

    Attributes
    ----------
    ndim : int
        The number of spatial axes.
    output_size, layout
        As the caller passed them; a backward pass leaves the size to its gradient.
    """

    ndim: int
    output_size: Any
    layout: Any

    @property
    def numbers(self) -> tuple[Any, ...]:
        """What should be numbers, as in `ConvOptions`; None stands for a size."""
        found = self.output_size
        return found if type(found) is tuple else (found,)
