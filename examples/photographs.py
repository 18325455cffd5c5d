"""Copy the two sample photographs that scikit-learn ships into a folder.

Run as ``python examples/photographs.py photographs``.
"""

import shutil
import sys
from importlib import resources
from pathlib import Path


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in resources.files("sklearn.datasets.images").iterdir():
        if source.name.endswith(".jpg"):
            with resources.as_file(source) as path:
                shutil.copy(path, folder / source.name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "photographs"))
