"""The example that trains: it learns, and its gradients are those of its loss."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import train_digits as example


def test_it_reads_98_percent_of_the_test_images():
    _, losses, accuracies = example.train()
    assert accuracies[-1] >= 0.98
    assert np.mean(losses[-20:]) < 0.1 * np.mean(losses[:20])


@pytest.mark.parametrize("name", ["conv1", "conv1 bias", "conv2", "conv2 bias", "dense"])
def test_gradients_by_central_differences(name):
    rng = np.random.default_rng(0)
    weights = {n: w.astype("float64") for n, w in example.initial_weights().items()}
    images, labels = rng.standard_normal((8, 1, 8, 8)), rng.integers(0, 10, 8)
    _, gradients = example.loss_and_gradients(weights, images, labels)
    direction = rng.standard_normal(weights[name].shape)
    step = 1e-6

    def loss(scale):
        moved = weights | {name: weights[name] + scale * direction}
        return example.loss_and_gradients(moved, images, labels)[0]

    numeric = (loss(step) - loss(-step)) / (2 * step)
    np.testing.assert_allclose((gradients[name] * direction).sum(), numeric, rtol=1e-6, atol=1e-8)
