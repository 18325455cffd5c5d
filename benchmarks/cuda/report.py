"""The table and the picture of what ``python -m benchmarks.cuda`` has measured.

Run as ``python -m benchmarks.cuda.report FOLDER``: reads ``FOLDER/cuda.jsonl``, writes
``results/cuda.json`` and ``docs/cuda.png``, and prints the geometric means.
"""

import json
import statistics
import sys
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results" / "cuda.json"
PICTURE = Path(__file__).parent.parent.parent / "docs" / "cuda.png"


def collect(folder):
    """Return the figures by operation and layer, and their means."""
    said, *entries = map(json.loads, (folder / "cuda.jsonl").read_text().splitlines())
    result = said | {"operations": {}}
    for e in entries:
        if e.get("wrong"):
            raise SystemExit(f"wrong: {e}")
        floor = 1e6 * max(e["bytes"] / said["bytes/s of a copy"], e["flops"] / said["FLOP/s"])
        row = {
            "us": round(e["us"], 1), "floor us": round(floor, 1), "host us": round(e["host us"]),
            "error over bound": float(f"{e['error over bound']:.2g}"),
        }  # fmt: skip
        if "torch us" in e:
            row |= {"torch us": round(e["torch us"], 1), "torch host us": round(e["torch host us"])}
        if "copy us" in e:
            row["copy us"] = round(e["copy us"], 1)
        result["operations"].setdefault(e["operation"], {})[e["layer"]] = row
    means = {}
    for name, rows in result["operations"].items():
        for what, family in (("torch us", "resnet50"), ("torch us", "mobilenet"), ("copy us", "")):
            shares = [r[what] / r["us"] for n, r in rows.items()
                      if n.startswith(family) and what in r]  # fmt: skip
            if shares and not (name in ("im2col", "col2im") and family):
                key = f"{name}, {family or 'all layers'}, {what.split()[0]}'s time over ours"
                means[key] = {"geomean": round(statistics.geometric_mean(shares), 2),
                              "least": round(min(shares), 2)}  # fmt: skip
    return result | {"means": means}


def draw(result):
    """Draw PyTorch's time over ours for each layer, and a copy's over the matrices'."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    operations = result["operations"]
    names = list(operations["forward"])
    figure, axes = plt.subplots(1, 2, figsize=(11, 7.5), layout="constrained", sharey=True)
    for axis, shown, what, title in (
        (axes[0], ("forward", "input_grad", "weight_grad"), "torch us", "PyTorch's time over ours"),
        (axes[1], ("im2col", "col2im"), "copy us", "the time of a copy of as many bytes over ours"),
    ):
        height = 0.8 / len(shown)
        for k, name in enumerate(shown):
            rows = operations[name]
            shares = [rows[n][what] / rows[n]["us"] if n in rows else 0 for n in names]
            places = [i + (k + 0.5) * height - 0.4 for i in range(len(names))]
            axis.barh(places, shares, height, label=name)
        axis.axvline(1, color="k", linewidth=0.8)
        axis.set_xlabel(title)
        axis.legend()
    axes[0].set_xlim(0, 3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    figure.suptitle(f"numbaconv.cuda, float32, batch {result['batch']}, {result['gpu']}")
    figure.savefig(PICTURE, dpi=80)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    result = collect(Path(sys.argv[1]))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    draw(result)
    for name, mean in result["means"].items():
        print(f"{name}: geomean {mean['geomean']}, least {mean['least']}")


if __name__ == "__main__":
    main()
