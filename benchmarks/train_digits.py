"""The example's network against the same one in PyTorch: losses step by step, and time a step.

Run as ``python -m benchmarks.train_digits --python PYTHON``, PYTHON having torch and scikit-learn.
Both start from the same weights and see the same batches. Checks that the losses of the first 50
steps agree to 1e-4, and times a step (forward, backward, Adam) of batch 64, float32, 2 threads, in
processes of their own that take turns. Writes ``benchmarks/results/train_digits.json``.
"""

import argparse
import sys

from benchmarks import engines

_COMMON = """
import pathlib
import numpy as np
sys.path.insert(0, str(pathlib.Path("examples").resolve()))
import train_digits as example
(images, labels), _ = example.digits()
weights = example.initial_weights()
steps = [chosen for _, chosen in zip(range(50), example.batches(len(images)))]
def timed(step, rounds=8):
    losses = [step(images[chosen], labels[chosen]) for chosen in steps]
    least = 1e9
    for _ in range(rounds):
        start = time.perf_counter()
        for chosen in steps:
            step(images[chosen], labels[chosen])
        least = min(least, (time.perf_counter() - start) / len(steps))
    print(json.dumps([losses, least]))
"""
_ENGINES = {
    "numbaconv": """
optimizer = example.Adam(weights)
def step(x, y):
    loss, gradients = example.loss_and_gradients(weights, x, y)
    optimizer.step(gradients)
    return loss
timed(step)
""",
    "torch": """
import torch
torch.set_num_threads(2)
functional = torch.nn.functional
parameters = {n: torch.from_numpy(w.copy()).requires_grad_() for n, w in weights.items()}
optimizer = torch.optim.Adam(parameters.values(), lr=example.RATE)
labels = torch.from_numpy(labels)
images = torch.from_numpy(images)
steps = [torch.from_numpy(chosen) for chosen in steps]
def step(x, y):
    for layer in "12":
        x = functional.conv2d(x, parameters[f"conv{layer}"], parameters[f"conv{layer} bias"],
                              padding=1)
        x = functional.max_pool2d(functional.relu(x), 2)
    scores = functional.linear(x.flatten(1), parameters["dense"], parameters["dense bias"])
    loss = functional.cross_entropy(scores, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
timed(step)
""",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    losses, times = {}, {}
    for _ in range(options.rounds):
        for name, source in _ENGINES.items():
            python = sys.executable if name == "numbaconv" else options.python
            losses[name], least = engines.run(python, _COMMON + source)
            times.setdefault(name, []).append(least)
    apart = max(
        abs(a - b) for a, b in zip(losses["numbaconv"], losses["torch"], strict=True)
    )  # fmt: skip
    if apart > 1e-4:
        raise SystemExit(f"the losses of the first 50 steps are up to {apart} apart")
    milliseconds = {name: round(1000 * min(t), 3) for name, t in times.items()}
    engines.save(
        "train_digits",
        {
            "milliseconds a step": milliseconds,
            "torch over numbaconv": round(min(times["torch"]) / min(times["numbaconv"]), 2),
            "largest difference of 50 losses": apart,
        },
    )


if __name__ == "__main__":
    main()
