"""Whether files may be believed: who owns them, and who else may write to them or above them.

An entry of the compilation cache is a pickle of machine code, so whoever can write one can run code
as whoever reads it. OpenSSH asks the same of its files (sshd_config, StrictModes).
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def doubt_about(folder: Path) -> str | None:
    """Return why another user might have written to a folder, or to one above it; else None."""
    if not hasattr(os, "geteuid"):  # as on Windows, whose profiles are their users' own
        return None
    seen: set[Path] = set()
    for path in _with_parents(folder, seen):
        try:
            found = path.lstat()
        except OSError as error:
            return f"{path} cannot be looked at: {error.strerror}"
        doubt = _doubt(path, found, above=path != folder)
        if doubt is not None:
            return doubt
    return None


def read(path: Path) -> tuple[bytes | None, str | None]:
    """Return the contents of a file, or None and, unless there is none, why it is not believed."""
    if not hasattr(os, "geteuid"):
        try:
            return path.read_bytes(), None
        except OSError:
            return None, None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None, f"{path} is a symbolic link" if path.is_symlink() else None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None, None
        doubt = _doubt(path, found, above=False)
        if doubt is not None:
            return None, doubt
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(), None
    except OSError:
        return None, None
    finally:
        os.close(descriptor)


def _with_parents(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield a folder and all above it; where one is a link, what it leads to as well."""
    for path in (folder, *folder.parents):
        if path in seen:
            return
        seen.add(path)
        yield path
        if path.is_symlink():
            yield from _with_parents(Path(os.path.realpath(path)), seen)


def _doubt(path: Path, found: os.stat_result, *, above: bool) -> str | None:
    """Return why a file or folder is not to be trusted, or None."""
    if found.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to {_user(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode):  # whose mode means nothing
        return None
    # In a sticky folder, as /tmp is, nobody can replace what others have put there.
    if above and found.st_mode & stat.S_ISVTX:
        return None
    if found.st_mode & stat.S_IWOTH:
        return f"everybody may write to {path}"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid):
        return f"a group may write to {path}"
    return None


def _user(number: int) -> str:
    import pwd

    with contextlib.suppress(KeyError):
        return f"user {pwd.getpwuid(number).pw_name}"
    return f"user number {number}"


def _is_private(number: int) -> bool:
    """Return whether a group is its user's own, as many systems give one to each."""
    import grp
    import pwd

    if number == 0:
        return True
    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
