"""im2col and col2im in every form against a copy, and against PyTorch's unfold and fold.

Run as ``python -m benchmarks.patches --torch PYTHON``, PYTHON being an interpreter that has PyTorch
(and need have nothing else but NumPy). float32, 2 threads, matrices of 45 MiB and more, outputs
allocated before. A copy of the matrix and the two functions take turns in one process; a figure is
the median over the rounds of a round's own ratio. NumPy's way, a copy of a view of sliding windows,
is timed beside them, and PyTorch, whose unfold and fold know two axes, channels first and columns,
in a process of its own, in turns with ours. Writes ``benchmarks/results/patches.json``, and with
matplotlib ``patches.png`` beside it.
"""

import argparse
import json
import sys

import numpy as np

from benchmarks import engines

# Input (channels first), kernel, stride, padding, dilation.
WINDOWS = {
    "3x3": ((8, 64, 56, 56), (3, 3), (1, 1), (1, 1), (1, 1)),
    "3x3, stride 2": ((8, 64, 112, 112), (3, 3), (2, 2), (1, 1), (1, 1)),
    "2x2, stride 2": ((16, 64, 112, 112), (2, 2), (2, 2), (0, 0), (1, 1)),
    "5x5, no padding": ((4, 64, 56, 56), (5, 5), (1, 1), (0, 0), (1, 1)),
    "3x3, dilation 2": ((8, 64, 56, 56), (3, 3), (1, 1), (2, 2), (2, 2)),
    "7x1": ((8, 64, 56, 56), (7, 1), (1, 1), (3, 0), (1, 1)),
    "7x7, stride 2, 3 channels": ((8, 3, 224, 224), (7, 7), (2, 2), (3, 3), (1, 1)),
    "16x16, stride 16, 3 channels": ((96, 3, 224, 224), (16, 16), (16, 16), (0, 0), (1, 1)),
    "3x3 on 7x7": ((64, 512, 7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "1-D, 9": ((8, 64, 4096), (9,), (1,), (4,), (1,)),
    "1-D, 9, stride 3": ((16, 64, 8192), (9,), (3,), (4,), (1,)),
    "3-D, 3x3x3": ((3, 16, 16, 28, 28), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "3-D, 2x2x2, stride 2": ((4, 32, 32, 56, 56), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)),
}
FORMS = [
    (layout, patches)
    for layout in ("channels_first", "channels_last")
    for patches in ("columns", "rows")
]

_OURS = """
import numba, numpy as np, numbaconv as nbc
from numpy.lib.stride_tricks import sliding_window_view
from benchmarks.suites.patches import copy
(shape, kernel, stride, padding, dilation), layout, patches, rounds = json.loads(sys.argv[1])
x = np.random.default_rng(0).random(shape, dtype="f4")
axes = tuple(range(2, len(shape)))

def plain():
    wide = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding])
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    view = sliding_window_view(wide, spans, axes)
    steps = [slice(None, None, s) for s in stride] + [slice(None, None, d) for d in dilation]
    view = view[(slice(None), slice(None), *steps)]
    first = len(shape)
    return np.ascontiguousarray(view.transpose(0, 1, *range(first, view.ndim), *axes))

y = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "channels_last" else x
keywords = {"layout": layout, "patches": patches}
cols = nbc.im2col(y, kernel, dilation, padding, stride, **keywords)
back = np.empty_like(y)
flat, copied = cols.reshape(-1), np.ones(cols.size, "f4")
copy(flat, copied)
calls = {
    "copy": lambda: copy(flat, copied),
    "im2col": lambda: nbc.im2col(y, kernel, dilation, padding, stride, out=cols, **keywords),
    "col2im": lambda: nbc.col2im(
        cols, shape[2:], kernel, dilation, padding, stride, out=back, **keywords
    ),
}
if (layout, patches) == ("channels_first", "columns"):
    calls["sliding_window_view"] = plain
times = {name: [] for name in calls}
for _ in range(rounds):
    for name, call in calls.items():
        if name == "sliding_window_view" and len(times[name]) >= 3:
            continue
        start = time.perf_counter()
        call()
        times[name].append(time.perf_counter() - start)
print(json.dumps({"nbytes": cols.nbytes, "times": times, "numba": numba.__version__,
                  "numpy": np.__version__}))
"""
_TORCH = """
import torch
torch.set_num_threads(2)
(shape, kernel, stride, padding, dilation), layout, patches, rounds = json.loads(sys.argv[1])
x = torch.rand(shape)
unfold, fold = torch.nn.functional.unfold, torch.nn.functional.fold
with torch.inference_mode():
    cols = unfold(x, kernel, dilation, padding, stride)
    calls = {
        "unfold": lambda: unfold(x, kernel, dilation, padding, stride),
        "fold": lambda: fold(cols, shape[2:], kernel, dilation, padding, stride),
    }
    times = {name: [least(call, 0, 3) for _ in range(2)] for name, call in calls.items()}
print(json.dumps({"times": times, "torch": torch.__version__}))
"""


def measure(window, layout, patches, rounds, torch):
    argument = json.dumps([window, layout, patches, rounds])
    ours = engines.run(sys.executable, _OURS, argument)
    times = {name: np.array(values) for name, values in ours["times"].items()}
    found = {"MiB": round(ours["nbytes"] / 2**20)}
    found["copy GB/s"] = round(float(np.median(ours["nbytes"] / times["copy"])) / 1e9, 1)
    for name in ("im2col", "col2im"):
        found[name] = round(float(np.median(times["copy"][1:] / times[name][1:])), 2)
    if "sliding_window_view" in times:
        best = times["sliding_window_view"].min()
        found["over sliding_window_view"] = round(float(best / np.median(times["im2col"])), 1)
    if torch and (layout, patches) == ("channels_first", "columns") and len(window[1]) == 2:
        theirs = engines.run(torch, _TORCH, argument)
        for name, own in (("unfold", "im2col"), ("fold", "col2im")):
            ratio = min(theirs["times"][name]) / float(np.median(times[own]))
            found[f"over {name}"] = round(ratio, 1)
        found["torch"] = theirs["torch"]
    return found | {name: ours[name] for name in ("numba", "numpy")}


def geomean(values):
    return round(float(np.exp(np.mean(np.log(values)))), 2)


def draw(table, path):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 6), sharey=True, layout="constrained")
    for panel, name in zip(panels, ("im2col", "col2im"), strict=True):
        for i, form in enumerate(table):
            places = np.arange(len(WINDOWS)) + (i - 1.5) * 0.2
            panel.barh(places, [table[form][w][name] for w in WINDOWS], 0.18, label=form)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_title(f"{name}: share of a copy's speed")
    panels[0].set_yticks(range(len(WINDOWS)), WINDOWS)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    table, versions = {}, {}
    for layout, patches in FORMS:
        form = f"{layout}, {patches}"
        table[form] = {}
        for name, window in WINDOWS.items():
            found = measure(window, layout, patches, options.rounds, options.torch)
            versions |= {k: found.pop(k) for k in ("numba", "numpy", "torch") if k in found}
            table[form][name] = found
            print(form, name, found, flush=True)
    shares = [row[name] for rows in table.values() for row in rows.values()
              for name in ("im2col", "col2im")]  # fmt: skip
    summary = {
        "geomean": geomean(shares), "least": min(shares),
        "under 0.6": sum(share < 0.6 for share in shares), "of": len(shares),
    }  # fmt: skip
    for form, rows in table.items():
        summary[form] = {
            name: geomean([row[name] for row in rows.values()]) for name in ("im2col", "col2im")
        }
    engines.save(
        "patches", versions | {"rounds": options.rounds, "summary": summary, "table": table}
    )
    try:
        draw(table, engines.RESULTS / "patches.png")
    except ImportError:
        print("no matplotlib, no picture")


if __name__ == "__main__":
    main()
