"""
How a call travels
==================

From the public function to the kernels, as it is: a profiler notes each function of the package
that a call of `numbaconv.conv2d` enters. A row is a function, indented by how deep it is called;
colours are rooms (folders). The first call of a kind decides; the second finds all of that
remembered.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numbaconv as nbc

PACKAGE = Path(nbc.__file__).parent
DEEPEST = 6


def trace(call):
    """Return (room, module, function, depth) of each function of the package that is entered."""
    found, depth = [], [0]

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if PACKAGE not in path.parents:
            return
        if event == "call":
            room, module = path.parent.name, path.stem
            found.append((room, module, frame.f_code.co_name, depth[0]))
            depth[0] += 1
        elif event == "return":
            depth[0] -= 1

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def draw(axes, steps, title):
    """Draw a row for each function when it is entered first, down to `DEEPEST`."""
    seen, rows = set(), []
    for step in steps:
        if step[3] <= DEEPEST and step[:3] not in seen and not step[2].startswith("<"):
            seen.add(step[:3])
            rows.append(step)
    rooms = list(dict.fromkeys(row[0] for row in rows))
    for i, (room, module, name, depth) in enumerate(rows):
        colour = plt.cm.tab10(rooms.index(room) % 10)
        axes.barh(-i, 6, left=depth, color=colour, alpha=0.35)
        axes.text(depth + 0.1, -i, f"{room}/{module}.{name}", fontsize=9, va="center")
    axes.set(title=f"{title}: {len(steps)} functions entered", xlim=(-0.2, DEEPEST + 6))
    axes.axis("off")


x = np.ones((1, 8, 20, 24), "float32")
weight = np.ones((16, 8, 3, 3), "float32")
nbc.conv2d(x, weight)  # compiles what is not compiled yet
nbc.release_memory()  # forgets plans

first = trace(lambda: nbc.conv2d(x, weight))
second = trace(lambda: nbc.conv2d(x, weight))

# %%

figure, axes = plt.subplots(figsize=(9, 13), layout="constrained")
draw(axes, first, "first call of these shapes")

# %%

figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
draw(axes, second, "second call")
