"""A compilation cache that several processes can fill at once.

Numba's own ``cache=True`` keeps an index a function that two processes can overwrite for each
other, and does not see an edit in another file. Here each compiled signature is one file, named by
a hash of all that its machine code depends on. It is written whole beside its place and moved there
in one step, which needs no lock, and is believed only if it carries its own key and the checksum of
its contents, and if nobody but this user (or root) can have written it. The folder is named by a
hash of the package's sources, so an upgrade never finds old code.
"""

import functools
import hashlib
import os
import pickle
import platform
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from numbaconv.kernels import trust

_DIGEST = hashlib.sha256
_DIGEST_SIZE = _DIGEST().digest_size
# Settings of Numba that change machine code and that Numba's own cache key does not know.
_SETTINGS = ("BOUNDSCHECK", "OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")


class KernelCache(_Cache):  # type: ignore[misc]
    """The cache of one dispatcher, in the form that Numba's dispatchers call.

    Parameters
    ----------
    function : callable
        The Python function that the dispatcher compiles.
    options : dict
        Its jit options: the twins of a kernel differ by nothing else.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function = function
        self._options = options
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The folder of the entries."""
        return str(cache_directory() or "")

    def enable(self) -> None:
        """Read and write entries (the default)."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor write entries."""
        self._enabled = False

    def flush(self) -> None:
        """Do nothing: an entry is never stale, its name says what it is."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled signature from the disk, or None to have it compiled."""
        target_context.refresh()
        if not self._enabled:
            return None
        key = self._key(sig, target_context.codegen())
        payload = load(key)
        if payload is None:
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a compiled signature to the disk, where that is possible."""
        if not self._enabled or data.library.has_dynamic_globals or data.lifted:
            return
        save(self._key(sig, data.codegen), dumps(data._reduce()))

    def _key(self, sig: Any, codegen: Any) -> bytes:
        function = self._function
        cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
        parts = (
            function.__module__,
            function.__qualname__,
            _DIGEST(function.__code__.co_code).hexdigest(),
            _DIGEST(dumps(cells)).hexdigest(),
            str(sig),
            sorted(self._options.items()),
            codegen.magic_tuple(),
            [(name, getattr(numba.config, name, None)) for name in _SETTINGS],
        )
        return repr(parts).encode()


@functools.cache
def source_hash() -> str:
    """Return a hash of this package's sources and of the compiler they go through."""
    digest = _DIGEST()
    for part in (numba.__version__, llvmlite.__version__, sys.version, platform.machine()):
        digest.update(part.encode() + b"\0")
    for name, text in sorted(_sources(resources.files("numbaconv"), "")):
        digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:16]


def _sources(folder: Any, prefix: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.name == "__pycache__":
            continue
        if item.is_dir():
            yield from _sources(item, f"{prefix}{item.name}/")
        elif item.name.endswith((".py", ".pyc")):  # a package may come as bytecode alone
            yield prefix + item.name, item.read_bytes()


def cache_directory() -> Path | None:
    """Return where this version's compiled kernels lie, or None where there is no such place.

    A folder of our own under Numba's ``NUMBA_CACHE_DIR`` where the user has set that, else in the
    user's cache folder. It can be removed at any time.
    """
    if numba.config.CACHE_DIR:
        root = Path(numba.config.CACHE_DIR)
    else:
        import platformdirs

        try:
            root = Path(platformdirs.user_cache_dir("numbaconv", appauthor=False))
        except RuntimeError:  # a user without a home
            return None
        if not root.is_absolute():
            return None
    return root / f"numbaconv-{source_hash()}"


def load(key: bytes) -> bytes | None:
    """Return what has been saved under a key, or None."""
    path = _entry(key)
    return None if path is None else _read(path, key)


def save(key: bytes, payload: bytes) -> None:
    """Save bytes under a key that names all that they depend on, where that is possible."""
    path = _entry(key)
    if path is not None:
        _write(path, key, payload)


def _entry(key: bytes) -> Path | None:
    folder = cache_directory()
    return None if folder is None else folder / f"{_DIGEST(key).hexdigest()[:40]}.bin"


def _read(path: Path, key: bytes) -> bytes | None:
    """Return what was saved under `key`, or None if it is missing, cut short or of another key.

    Nor is it believed where somebody else may have written it.
    """
    if not path.parent.is_dir() or not _is_trusted(path.parent):
        return None
    data, doubt = trust.read(path)
    if doubt is not None:
        _warn(doubt)
    if data is None:
        return None
    digest, body = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    if _DIGEST(body).digest() != digest or not body.startswith(key):
        return None
    return body[len(key) :]


def _write(path: Path, key: bytes, payload: bytes) -> None:
    """Save an entry; a place that cannot be written only costs the next process a compilation."""
    body = key + payload
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_trusted(path.parent):
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(_DIGEST(body).digest() + body)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError:
        return


@functools.cache
def _is_trusted(folder: Path) -> bool:
    """Return whether nobody else can have written to a folder; where somebody can, say so."""
    doubt = trust.doubt_about(folder)
    if doubt is not None:
        _warn(doubt)
    return doubt is None


_warned = False


def _warn(doubt: str) -> None:
    """Say once why compiled kernels are not taken from the disk."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"kernels are compiled anew, not read from the cache, which somebody else may have "
            f"written: {doubt}. Set NUMBA_CACHE_DIR to a folder of your own",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
