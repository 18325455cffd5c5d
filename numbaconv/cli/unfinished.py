"""Runs that may be interrupted: what they have made so far, and how far they came.

Beside the final name lies ``NAME.part``, and with ``--resume`` ``NAME.part.json``, which says for
which job it was made and how many images are in it. A folder of images has no part: each image is
moved to its name when it is whole.
"""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

# Seconds between two notes of how far a run has come.
_PACE = 1.0


class Unfinished:
    """The part of an output that exists, and the note that goes with it.

    Parameters
    ----------
    target : Path
        The final name: of a file, or of a folder that is replaced as a whole.
    job : dict
        What the result depends on, as JSON has it.
    keep : bool
        Whether an interrupted run shall be gone on with.
    in_place : bool
        Whether the output is a folder whose files appear one by one: then there is no part, and the
        note lies in the folder.
    """

    def __init__(self, target: Path, job: dict[str, Any], *, keep: bool, in_place: bool) -> None:
        self.target = target
        name = f"{target.name}.part" if keep else f".numbaconv-{os.getpid()}-{target.name}.part"
        self.part = target.with_name(name)
        self._in_place = in_place
        self._note = target.with_name(f"{target.name}.part.json")
        if in_place:
            self._note = target / ".numbaconv-resume.json"
        self._job = json.loads(json.dumps(job))
        self._keep = keep
        self._noted = time.monotonic()
        self._lock: FileLock | None = None
        self.done = 0
        #: Those among them that failed, by number, and why.
        self.failed: dict[int, str] = {}
        if keep:
            self._take_turn()
            try:
                self.done = self._found()
                self.save()  # so that a part is never without a note
            except BaseException:
                self.close()
                raise
        elif in_place:
            # Its images are about to be those of another job.
            self._note.unlink(missing_ok=True)

    def _take_turn(self) -> None:
        """See to it that no other run works on the same part."""
        if not self._note.parent.is_dir():
            self._note.parent.mkdir(parents=True)
        lock = FileLock(self._note.with_name(self._note.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"another run with --resume is writing {self.target} now") from None
        self._lock = lock

    def close(self) -> None:
        """Let others work on the part."""
        if self._lock is not None:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def _found(self) -> int:
        """Return how many images an earlier run of the same job has finished."""
        try:
            with open(self._note, encoding="utf-8") as file:
                found = json.load(file)
            job, done = found["job"], int(found["done"])
            failed = {int(n): str(why) for n, why in found.get("failed", {}).items()}
        except FileNotFoundError:
            if not self._in_place and self.part.exists():
                raise ValueError(
                    f"{self.part} exists, and nothing says that a run with --resume has left it: "
                    "remove it first"
                ) from None
            return 0
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self._note} is no note of an unfinished run: {error}") from None
        if job != self._job:
            changed = sorted(k for k in {*job, *self._job} if job.get(k) != self._job.get(k))
            raise ValueError(
                f"{self.target} cannot be resumed: {', '.join(changed)} changed since the run that "
                f"was interrupted; remove {self._note} and what it has made to begin anew"
            )
        self.failed = failed
        return done if self._in_place or self.part.exists() else 0

    def advance(self, count: int) -> None:
        """Count images that are written; note it now and then."""
        self.done += count
        if self._keep and time.monotonic() - self._noted > _PACE:
            self.save()

    def save(self) -> None:
        """Note how far the run has come."""
        fresh = self._note.with_name(self._note.name + ".new")
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump({"job": self._job, "done": self.done, "failed": self.failed}, file)
        os.replace(fresh, self._note)
        self._noted = time.monotonic()

    def interrupted(self) -> None:
        """Keep what there is, with a note, or remove it."""
        if self._keep and self.done:
            # On a full disk an older note stays, which promises less.
            with contextlib.suppress(OSError):
                self.save()
            return
        if not self._in_place:
            _remove(self.part)
        if self._keep:
            self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Move the part to its final name, if there is one, and forget the note."""
        if self._in_place:
            pass
        elif self.part.is_dir() and self.target.exists():
            # A folder takes the place of another in two steps; the old one goes last.
            old = self.target.with_name(f".numbaconv-{os.getpid()}-{self.target.name}.old")
            os.rename(self.target, old)
            try:
                os.rename(self.part, self.target)
            except OSError:
                os.rename(old, self.target)
                raise
            _remove(old)
        else:
            os.replace(self.part, self.target)
        if self._keep:
            self._note.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
