"""Throughput against threads, batch, image and chunk size; Dask against a plain loop; halos.

Run as ``python -m benchmarks.scaling``. The layer has 3x3 kernels, 3 channels to 64, float32, and
its results are reduced to the means of each channel. Everything is timed in this process or in a
cluster of two processes that it starts, taking turns, the best of some rounds; weights are packed
inside the timing. What many workers would do comes in two ways: on paper, from the measured rate of
one core, 1 GB/s and 1 ms a transfer; and by Dask's own scheduler over ten workers that live in this
process, of which the bytes that they fetch from each other are counted. Writes
``results/scaling.json`` and ``docs/scaling.png``. ``--images N`` sets how many images the cluster
gets (10,000).
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import dask
import dask.array as da
import distributed
import numba
import numpy as np
import psutil

import numbaconv as nbc
import numbaconv.dask as nbdask
from benchmarks import engines

SIDE, CHANNELS, OUTPUTS = 224, 3, 64
RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((OUTPUTS, CHANNELS, 3, 3), dtype="f4")
BANDWIDTH, LATENCY = 1e9, 1e-3
PICTURE = Path(__file__).parent.parent / "docs" / "scaling.png"


def best(call, rounds=5):
    """Return the least seconds of a call."""
    call()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def made(block, first=0):
    """Return images that cost nothing to make: views of one."""
    return np.broadcast_to(_IMAGE, (block, *_IMAGE.shape))


_IMAGE = RNG.standard_normal((CHANNELS, SIDE, SIDE), dtype="f4")


def means(images, parallel):
    """Return the means of each output channel, as one who knows no Dask would."""
    return nbc.conv2d(images, WEIGHT, padding=1, parallel=parallel).mean(axis=(2, 3))


def threads_and_sizes():
    """Return images a second by threads and batch, and by threads and the side of an image."""
    rows = []
    for threads, batch, side in (
        *((t, b, SIDE) for t in (1, 2) for b in (1, 2, 4, 8, 16, 32)),
        *((t, 8, s) for t in (1, 2) for s in (16, 32, 64, 128, 512)),
    ):
        numba.set_num_threads(threads)
        x = RNG.standard_normal((batch, CHANNELS, side, side), dtype="f4")
        out = nbc.conv2d(x, WEIGHT, padding=1)
        seconds = best(lambda x=x, out=out: nbc.conv2d(x, WEIGHT, padding=1, out=out))
        rows.append({"threads": threads, "batch": batch, "side": side,
                     "images a second": round(batch / seconds, 1)})  # fmt: skip
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    return rows


def chunk_sizes():
    """Return the cost of cutting one image of 4096x4096 into chunks, on Dask's threads."""
    x = np.broadcast_to(np.ones((1, CHANNELS, 1, 1), "f4"), (1, CHANNELS, 4096, 4096))
    weight = WEIGHT[:16]
    rows = []
    with dask.config.set(scheduler="threads", num_workers=2):
        for side in (4096, 2048, 1024, 512, 256, 128):
            lazy = da.from_array(x, chunks=(1, CHANNELS, side, side), name=f"x{side}")
            maps = nbdask.conv2d(lazy, weight, padding=1)
            seconds = best(lambda m=maps: m.mean(axis=(2, 3)).compute(), 3)
            halo = (min(side + 2, 4096) ** 2 - side**2) / side**2 if side < 4096 else 0
            rows.append({"chunk": side, "tasks": len(dict(maps.dask)), "seconds": round(seconds, 3),
                         "halo over chunk": round(halo, 4)})  # fmt: skip
    return rows


def plain_loop(count, batch):
    """Return the images a second of a loop that uses Numba's threads."""
    begin = time.perf_counter()
    for first in range(0, count, batch):
        means(made(min(batch, count - first)), True)
    return count / (time.perf_counter() - begin)


def cluster_means(count, batch):
    """Return the lazy means of so many images."""
    chunks = tuple(min(batch, count - n) for n in range(0, count, batch))
    images = da.map_blocks(
        lambda block_info=None: np.ascontiguousarray(
            made(block_info[None]["chunk-shape"][0])
        ),
        chunks=(chunks, (CHANNELS,), (SIDE,), (SIDE,)), dtype="f4",
        meta=np.empty((0, 0, 0, 0), "f4"),
    )  # fmt: skip
    return nbdask.conv2d(images, WEIGHT, padding=1).mean(axis=(2, 3))


def memory():
    """Return the resident bytes of this process and its children."""
    this = psutil.Process()
    return sum(p.memory_info().rss for p in (this, *this.children(recursive=True)))


def on_a_cluster(count, batch, rounds=3):
    """Return what a cluster of two processes does beside the loop, in turns, and its memory."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                 dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        cluster_means(8 * batch, batch).compute()
        means(made(batch), True)
        loop, lazy = [], []
        peak = 0
        for _ in range(rounds):
            # Workers sleep while the loop runs; the loop's threads end their spin in 0.2 s.
            loop.append(plain_loop(count // 4, batch))
            time.sleep(0.5)
            begin = time.perf_counter()
            future = client.compute(cluster_means(count, batch))
            while not future.done():
                peak = max(peak, memory())
                time.sleep(0.2)
            found = future.result()
            lazy.append(count / (time.perf_counter() - begin))
            time.sleep(0.5)
        assert np.allclose(found, means(made(1), False)[0], atol=1e-5)
    ratios = sorted(b / a for a, b in zip(loop, lazy, strict=True))
    return {
        "images": count, "batch": batch, "loop, images a second": round(max(loop), 1),
        "cluster, images a second": round(max(lazy), 1),
        "cluster over loop, median of rounds": round(ratios[len(ratios) // 2], 3),
        "peak memory of all processes, MiB": round(peak / 2**20),
    }  # fmt: skip


def on_paper(workers, side, rate, overhead, total=65_536):
    """Return what workers would do with a huge image in chunks, each of them owning a square.

    A block needs a border of one position; it comes over the network where the square ends.
    """
    blocks = (total // side) ** 2
    compute = side * side / rate
    square = max(blocks / workers, 1) ** 0.5  # blocks along the side of a worker's square
    foreign = 4 * square if workers > 1 else 0  # sides of blocks on the square's edge
    border = 4 * CHANNELS * side  # bytes of one side
    moved = foreign * border
    own = blocks / workers
    seconds = own * (compute + overhead) + foreign * LATENCY + moved / BANDWIDTH
    return {
        "workers": workers, "chunk": side, "seconds": round(seconds, 2),
        "efficiency": round(own * compute / seconds, 3),
        "halo over computed bytes": round(moved / (own * side * side * 4 * CHANNELS), 5),
    }  # fmt: skip


def by_dasks_scheduler(workers=10, side=512, blocks=8):
    """Return what workers fetch from each other under Dask's own scheduler."""
    with (
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, processes=False,
                                 dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        length = side * blocks
        x = da.random.random((1, CHANNELS, length, length), chunks=(1, CHANNELS, side, side))
        x = client.persist(x.astype("f4"))
        distributed.wait(x)

        def fetched():
            logs = (w.transfer_incoming_log for w in cluster.workers.values())
            return sum(entry["total"] for log in logs for entry in log)

        before = fetched()
        client.compute(nbdask.conv2d(x, WEIGHT[:4], padding=1).mean()).result()
        moved = fetched() - before
    border = 4 * CHANNELS * 4 * (side + 1) * blocks**2
    return {
        "workers": workers, "blocks": blocks**2, "chunk": side,
        "fetched over computed bytes": round(moved / x.nbytes, 4),
        "all halos over computed bytes": round(border / x.nbytes, 4),
    }  # fmt: skip


def draw(result):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for threads in (1, 2):
        rows = [r for r in result["sizes"] if r["threads"] == threads and r["side"] == SIDE]
        left.plot([r["batch"] for r in rows], [r["images a second"] for r in rows], "o-",
                  label=f"{threads} thread{'s' * (threads > 1)}")  # fmt: skip
    left.set(xscale="log", xlabel="batch", ylabel="images a second", ylim=0,
             title="3x224x224 to 64 channels, 3x3")  # fmt: skip
    left.legend()
    rows = result["chunks"]
    middle.plot([r["chunk"] for r in rows], [rows[0]["seconds"] / r["seconds"] for r in rows], "o-")
    middle.set(xscale="log", xlabel="side of a chunk", ylabel="speed beside one chunk", ylim=0,
               title="an image of 4096x4096 on Dask's threads")  # fmt: skip
    middle.set_xticks([r["chunk"] for r in rows], [str(r["chunk"]) for r in rows])
    middle.set_xticks([], minor=True)
    for side in sorted({r["chunk"] for r in result["on paper"]}):
        rows = [r for r in result["on paper"] if r["chunk"] == side]
        right.plot([r["workers"] for r in rows], [r["efficiency"] for r in rows], "o-",
                   label=f"chunks of {side}")  # fmt: skip
    right.set(xscale="log", xlabel="workers", ylabel="efficiency", ylim=(0, 1.05),
              title="on paper: an image of 65536x65536")  # fmt: skip
    right.legend()
    figure.savefig(PICTURE, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--cluster", action="store_true", help="print the figures of that alone")
    options = parser.parse_args()
    if options.cluster:
        print(json.dumps(on_a_cluster(options.images, options.batch)))
        return
    result = {"numba": numba.__version__, "numpy": np.__version__, "dask": dask.__version__}
    result["sizes"] = threads_and_sizes()
    result["chunks"] = chunk_sizes()
    one = next(r for r in result["sizes"] if r["threads"] == 1 and r["batch"] == 8)
    rate = one["images a second"] * SIDE * SIDE
    few, many = result["chunks"][-2:]
    overhead = 2 * (many["seconds"] - few["seconds"]) / (many["tasks"] - few["tasks"])
    result["one core, input pixels a second"] = round(rate)
    result["overhead of a task, ms"] = round(1e3 * overhead, 3)
    result["on paper"] = [
        on_paper(workers, side, rate, overhead)
        for side in (512, 1024, 2048)
        for workers in (1, 2, 10, 30, 100, 300)
    ]
    result["by Dask's scheduler"] = by_dasks_scheduler()
    # In a process of its own, whose memory is counted: nothing of the above is in it.
    command = [sys.executable, "-m", "benchmarks.scaling", "--cluster", "--images",
               str(options.images), "--batch", str(options.batch)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result["cluster"] = json.loads(done.stdout)
    engines.save("scaling", result)
    draw(result)


if __name__ == "__main__":
    main()
