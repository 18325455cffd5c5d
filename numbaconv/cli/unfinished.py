"""Runs that may be interrupted: what they have made so far, and how far they came.

Beside the final name lies ``NAME.part``, and with ``--resume`` ``NAME.part.json``, which says for
which job it was made and how many images are in it.
"""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

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
    note : Path, optional
        Where the note lies, if not beside the part.
    """

    def __init__(
        self, target: Path, job: dict[str, Any], *, keep: bool, note: Path | None = None
    ) -> None:
        self.target = target
        self.part = target.with_name(f"{target.name}.part" if keep else f".numbaconv-{os.getpid()}-"
                                     f"{target.name}.part")  # fmt: skip
        self._note = note or target.with_name(f"{target.name}.part.json")
        self._job = json.loads(json.dumps(job))
        self._keep = keep
        self._noted = time.monotonic()
        self.done = self._found() if keep else 0

    def _found(self) -> int:
        """Return how many images an earlier run of the same job has finished."""
        try:
            with open(self._note, encoding="utf-8") as file:
                found = json.load(file)
            job, done = found["job"], int(found["done"])
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._note} is no note of an unfinished run: {error}") from None
        if job != self._job:
            changed = sorted(k for k in {*job, *self._job} if job.get(k) != self._job.get(k))
            raise ValueError(
                f"{self.target} cannot be resumed: {', '.join(changed)} changed since the run that "
                f"was interrupted; remove {self._note} to begin anew"
            )
        return done

    def advance(self, count: int) -> None:
        """Count images that are written; note it now and then."""
        self.done += count
        if self._keep and time.monotonic() - self._noted > _PACE:
            self.save()

    def save(self) -> None:
        """Note how far the run has come."""
        fresh = self._note.with_name(self._note.name + ".new")
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump({"job": self._job, "done": self.done}, file)
        os.replace(fresh, self._note)
        self._noted = time.monotonic()

    def interrupted(self) -> None:
        """Keep what there is, with a note, or remove it."""
        if self._keep and self.done:
            # On a full disk an older note stays, which promises less.
            with contextlib.suppress(OSError):
                self.save()
        else:
            self._remove_part()

    def finish(self) -> None:
        """Move the part to its final name, if there is one, and forget the note."""
        if self.part.is_dir() and self.target.exists():
            # A folder takes the place of another in two steps; the old one goes last.
            old = self.target.with_name(f".numbaconv-{os.getpid()}-{self.target.name}.old")
            os.rename(self.target, old)
            os.rename(self.part, self.target)
            _remove(old)
        elif self.part.exists():
            os.replace(self.part, self.target)
        self._note.unlink(missing_ok=True)

    def _remove_part(self) -> None:
        if self.part.exists():
            _remove(self.part)
        if self._keep:
            self._note.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
