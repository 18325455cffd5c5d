"""Conv1d, Conv2d and Conv3d: convolutions whose weights are prepared once."""

import weakref
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from numbaconv import routes
from numbaconv.api import backends
from numbaconv.host import convolution
from numbaconv.kernels import held, recording
from numbaconv.nopython import replay
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import dilated_size
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode
from numbaconv.running import call
from numbaconv.running.packed import Packed

# Forms of a layer's weights that it keeps, for inputs of several shapes, and calls of one shape.
_MOST_FORMS = 4
_MOST_REPLAYS = 16


class _Conv:
    """What the layers of all dimensions share."""

    _ndim: ClassVar[int]

    def __init__(
        self,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        stride: IntOrAxes = 1,
        padding: Padding = 0,
        dilation: IntOrAxes = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        layout: Layout = "channels_first",
        dtype: npt.DTypeLike | None = None,
        algorithm: Algorithm = "auto",
        x_shape: Ints | None = None,
    ) -> None:
        self._weight = arguments.as_array(weight, "weight").copy()
        self._weight.flags.writeable = False
        self._bias = None
        if bias is not None:
            self._bias = arguments.as_array(bias, "bias").copy()
            self._bias.flags.writeable = False
        self._options = ConvOptions(
            ndim=self._ndim, stride=_frozen(stride), padding=_frozen(padding),
            dilation=_frozen(dilation), groups=groups, padding_mode=padding_mode, layout=layout,
            dtype=None if dtype is None else arguments.supported(dtype, "dtype"),
            algorithm=algorithm,
        )  # fmt: skip
        self._check()
        self._prepare()
        if x_shape is not None:
            expected = self._options.dtype or np.result_type(self._weight, np.int8)
            self._prepared(arguments.shape(x_shape, "x_shape"), expected, True, "x_shape")

    def _check(self) -> None:
        """Raise what any call would raise because of the weights or options alone."""
        ndim, weight, options = self._ndim, self._weight, self._options
        last = arguments.is_channels_last(options.layout)
        if weight.ndim != ndim + 2:
            expected = "(*kernel, C/groups, O)" if last else "(O, C/groups, *kernel)"
            raise ValueError(
                f"weight must have {ndim + 2} axes, {expected}, got shape {weight.shape}"
            )
        channels, outputs = weight.shape[-2:] if last else weight.shape[1::-1]
        kernel = weight.shape[:ndim] if last else weight.shape[2:]
        groups = arguments.integer(options.groups, "groups", 1)
        if outputs % groups:
            raise ValueError(
                f"groups must divide the output channels of weight ({outputs}), got {groups}"
            )
        if weight.dtype.kind != "b":
            arguments.supported(weight.dtype, "the dtype of weight")
        if options.dtype is not None:
            arguments.convertible(weight.dtype, options.dtype, "weight")
            if self._bias is not None:
                arguments.check_bias(self._bias.shape, self._bias.dtype, outputs, options.dtype)
        # Of an input that just fits: what depends on its size is raised by the call.
        dilation = arguments.per_axis(options.dilation, "dilation", ndim)
        size = tuple(dilated_size(max(k, 1), d) for k, d in zip(kernel, dilation, strict=True))
        spatial = (*size, channels * groups) if last else (channels * groups, *size)
        ConvGeometry.parse(options, spatial, weight.shape)
        arguments.choice(options.algorithm, "algorithm", ("auto", "exact", *routes.names()))
        if self._bias is not None and self._bias.shape != (outputs,):
            raise ValueError(
                f"bias must have shape ({outputs},), one for each output channel, "
                f"got {self._bias.shape}"
            )

    def _prepare(self) -> None:
        # What is known of an input's shape is held elsewhere, with a limit for all layers.
        self._by_signature: weakref.WeakValueDictionary[Any, _Prepared] = (
            weakref.WeakValueDictionary()
        )
        self._replays: dict[Any, replay.Replay] = {}
        self._packed: dict[Any, Packed] = {}  # the last: it makes the layer immutable

    def __call__(self, x: npt.ArrayLike, out: Array | None = None, parallel: bool = True) -> Array:
        """Return the convolution of `x`.

        Parameters
        ----------
        x : array_like
            Batched or not, as the function of the same name takes it.
        out : ndarray, optional
            Where to write.
        parallel : bool, optional
            Use Numba's threads, or only the calling one.

        Returns
        -------
        ndarray
            As the function of the same name returns it.
        """
        if type(x) is not np.ndarray:
            backend = backends.of(x)
            if backend is not backends.of(self._weight):
                return backend.convolve(self._options, x, self._weight, self._bias, out, parallel)
            x = arguments.as_array(x, "x")
        source = x
        signature = source.shape, source.dtype
        may_replay = (
            out is None and parallel is True and source.flags.carray and not recording.active
        )
        if may_replay:
            again = self._replays.get(signature)
            made: Array | None = None if again is None else again(source)
            if made is not None:
                return made
        found = self._by_signature.get(signature)
        if parallel is not True and parallel is not False:
            parallel = arguments.flag(parallel, "parallel")
        if found is None:
            source = arguments.as_array(source, "x")
            found = self._prepared(source.shape, source.dtype, parallel)
        packed = self._packed.get(found.key)
        if packed is None:
            packed = self._pack(found.call, found.key, parallel)
        if may_replay and found.is_to_be_recorded():
            return self._record(found, source, packed)
        return call.run(found.call, source, packed, out, parallel, (source,))

    def _record(self, found: "_Prepared", x: Array, packed: Packed) -> Array:
        """Return the convolution of `x`, and let later calls launch the same."""
        weights = (packed.weight, packed.bias, *packed.alive)
        result: Array
        result, again = replay.record(
            lambda: call.run(found.call, x, packed, None, True, (x,)), (x,), weights
        )
        if again is not None:
            held.make_room(self._replays, _MOST_REPLAYS)
            # They hold the weights, as the layer does: what is known of an input's shape does not.
            self._replays[x.shape, x.dtype] = again
        return result

    def _prepared(
        self, shape: Ints, dtype: np.dtype[Any], parallel: bool, name: str = "x"
    ) -> "_Prepared":
        """Return how an input of this shape is convolved, with the weights packed for that."""
        found = convolution.resolve(
            self._options, (shape, dtype), (self._weight.shape, self._weight.dtype), prepared=True,
            names=(name, "weight"),
        )  # fmt: skip
        # The result's dtype counts: the bias is rounded to it.
        key = found.algorithm, found.dtype, found.work, found.plan.pack_key
        if key not in self._packed:
            self._pack(found, key, parallel)
        prepared = _Prepared(found, key)
        held.keep((id(self), shape, dtype), prepared)
        self._by_signature[shape, dtype] = prepared
        return prepared

    def _pack(self, found: call.Call, key: Any, parallel: bool) -> Packed:
        """Return the weights in the form that a call wants, and keep them; few forms are kept."""
        bias = self._bias
        if bias is not None:
            bias = convolution.checked_bias(self._options, found, bias)
        packed = call.pack(found, self._weight, bias, parallel, keep=True)
        held.make_room(self._packed, _MOST_FORMS)
        # Of two threads that pack at once, both get the first one's.
        return self._packed.setdefault(key, packed)

    @property
    def weight(self) -> Array:
        """The weights, read-only."""
        return self._weight.view()

    @property
    def bias(self) -> Array | None:
        """The bias, read-only."""
        return None if self._bias is None else self._bias.view()

    def __getstate__(self) -> dict[str, Any]:
        return {"weight": self._weight, "bias": self._bias, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, f"_{name}", value)
        self._prepare()

    def __setattr__(self, name: str, value: Any) -> None:
        if "_packed" in self.__dict__:
            raise AttributeError(f"{type(self).__name__} is immutable, cannot set {name!r}")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        last = self._options.layout == "channels_last"
        shape = self._weight.shape
        if last:
            *kernel, channels, outputs = shape
        else:
            outputs, channels, *kernel = shape
        defaults = ConvOptions(self._ndim)._asdict()
        options = [
            f"{name}={value if name == 'dtype' else repr(value)}"
            for name, value in self._options._asdict().items()
            if not (type(value) is type(defaults[name]) and value == defaults[name])
        ]
        words = [
            f"{channels * self._options.groups} -> {outputs}",
            f"kernel={'x'.join(map(str, kernel))}",
            *options,
            *(["bias"] if self._bias is not None else []),
            str(self._weight.dtype),
        ]
        return f"{type(self).__name__}({', '.join(words)})"


class _Prepared(replay.Calls):
    """How inputs of one shape are convolved, and which form of the weights that takes."""

    __slots__ = ("__weakref__", "call", "key")

    def __init__(self, found: call.Call, key: Any) -> None:
        super().__init__()
        self.call, self.key = found, key


def _frozen(value: Any, depth: int = 2) -> Any:
    """Return a sequence as tuples, pairs in it as well, which a caller cannot change afterwards."""
    if depth and arguments.is_sequence(value):
        entries = np.asarray(value) if isinstance(value, np.ndarray) else value
        return tuple(_frozen(v, depth - 1) for v in entries)
    return value


class Conv2d(_Conv):
    """A 2-D convolution whose weights are packed or transformed once, for many calls.

    It copies the weights, keeps them in the form of each algorithm that its inputs need, and is
    immutable: several threads may call it. Pickled, the weights travel and their packed forms do
    not.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype, algorithm
        As in `conv2d`.
    x_shape : tuple of int, optional
        A shape of inputs to come: the weights are prepared for it now, and not at the first call.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; what depends on the shape of `x` is raised by the call, or here if `x_shape`
        is given.

    See Also
    --------
    conv2d : The same in one call.
    explain : Which algorithm is chosen, and why.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> layer = nbc.Conv2d(np.ones((8, 3, 3, 3), np.float32), padding=1)
    >>> layer(np.ones((1, 3, 32, 32), np.float32)).shape
    (1, 8, 32, 32)
    >>> layer
    Conv2d(3 -> 8, kernel=3x3, padding=1, float32)
    """

    _ndim = 2


class Conv1d(_Conv):
    """A 1-D convolution whose weights are prepared once: see `Conv2d` and `conv1d`.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype, algorithm, x_shape
        As in `Conv2d`, for one spatial axis.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.Conv1d(np.array([[[-1, 1]]]))(np.array([[1, 2, 4, 8, 16]]))
    array([[1, 2, 4, 8]])
    """

    _ndim = 1


class Conv3d(_Conv):
    """A 3-D convolution whose weights are prepared once: see `Conv2d` and `conv3d`.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype, algorithm, x_shape
        As in `Conv2d`, for three spatial axes.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> layer = nbc.Conv3d(np.ones((2, 1, 2, 3, 3)), padding="same")
    >>> layer(np.ones((1, 4, 5, 6))).shape
    (2, 4, 5, 6)
    """

    _ndim = 3
