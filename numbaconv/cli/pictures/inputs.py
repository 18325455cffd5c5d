"""Which files of a folder are images."""

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image


@dataclass
class Inputs:
    """The images that were found, and what was left alone.

    Parameters
    ----------
    root : Path
        The folder that they lie in.
    names : list of Path
        The images, relative to the folder.
    others : int
        Files that are no images.
    folders : list of str
        Folders that were not entered.
    """

    root: Path
    names: list[Path] = field(default_factory=list)
    others: int = 0
    folders: list[str] = field(default_factory=list)

    @property
    def left_alone(self) -> str:
        """What a summary says of the rest; empty if there is none."""
        parts = []
        if self.others:
            parts.append(f"{self.others} file{'s' * (self.others > 1)} that are no images")
        if self.folders:
            named = ", ".join(self.folders[:5]) + (", ..." if len(self.folders) > 5 else "")
            parts.append(f"the folder{'s' * (len(self.folders) > 1)} {named} (see --recursive)")
        return f"left alone: {'; '.join(parts)}" if parts else ""


# What Pillow registers without being able to decode it by itself: data, drawings and documents.
_NO_PICTURES = ("BUFR", "EPS", "GRIB", "HDF5", "WMF")


def suffixes() -> set[str]:
    """Return the extensions, in lower case, of formats that can be both read and written."""
    formats = Image.registered_extensions()
    able = (Image.SAVE.keys() & Image.OPEN.keys()) - set(_NO_PICTURES)
    return {suffix for suffix, kind in formats.items() if kind in able}


def find(source: Path, recursive: bool, leave: Path | None = None) -> Inputs:
    """Return the images of a folder, in the order of their names, or the one image.

    Hidden files, and folders of whatever name, are no images. Whatever lies in the folder `leave`
    is not looked at.
    """
    if not source.is_dir():
        return Inputs(source.parent, [Path(source.name)])
    known = suffixes()
    found = Inputs(source)
    _look(source, Path(), known, recursive, leave, found)
    if not found.names:
        raise ValueError(f"{source} holds no images that can be read and written")
    return found


def _look(
    folder: Path, inside: Path, known: set[str], recursive: bool, leave: Path | None, found: Inputs
) -> None:
    for path in sorted(folder.iterdir()):
        name = inside / path.name
        if path.name.startswith("."):
            found.others += not path.is_dir()
        elif path.is_dir():
            if leave is not None and path.samefile(leave):
                continue
            if recursive and not path.is_symlink():
                _look(path, name, known, recursive, leave, found)
            else:
                found.folders.append(f"{name}/")
        elif path.suffix.lower() in known:
            found.names.append(name)
        else:
            found.others += 1
