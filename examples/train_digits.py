"""Train a small convolutional network on handwritten digits, with numbaconv and NumPy alone.

Run as ``python examples/train_digits.py [PICTURE]``: it trains for some seconds, says how many of
the test images it reads rightly, and draws the loss, the accuracy, and the filters of the first
layer. The digits are those that scikit-learn ships (1797 images of 8x8).
"""

import sys
import time

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import numbaconv as nbc

BATCH, EPOCHS, RATE, TESTED = 64, 30, 2e-3, 360


def digits():
    """Return (training images, labels), (test images, labels); images are (N, 1, 8, 8)."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return (images[TESTED:], labels[TESTED:]), (images[:TESTED], labels[:TESTED])


def initial_weights(seed=0):
    """Return the parameters of two convolutions and a dense layer, in He's scale."""
    rng = np.random.default_rng(seed)
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "dense": (10, 32 * 2 * 2)}
    weights = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = (scale * rng.standard_normal(shape)).astype("float32")
        weights[f"{name} bias"] = np.zeros(shape[0], "float32")
    return weights


def forward(weights, images):
    """Return the scores of ten digits, and what the backward pass needs."""
    kept = {"x1": images}
    x = images
    for layer in "12":
        kept[f"x{layer}"] = x
        x = nbc.conv2d(x, weights[f"conv{layer}"], weights[f"conv{layer} bias"], padding=1)
        kept[f"y{layer}"] = np.maximum(x, 0, out=x)
        x, kept[f"i{layer}"] = nbc.max_pool2d(x, 2, return_indices=True)
    kept["flat"] = x.reshape(len(x), -1)
    return kept["flat"] @ weights["dense"].T + weights["dense bias"], kept


def loss_and_gradients(weights, images, labels):
    """Return the mean cross entropy, and its gradient for each parameter."""
    scores, kept = forward(weights, images)
    scores -= scores.max(axis=1, keepdims=True)
    logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -logarithms[rows, labels].mean()
    grad = np.exp(logarithms)
    grad[rows, labels] -= 1
    grad /= len(labels)
    gradients = {"dense": grad.T @ kept["flat"], "dense bias": grad.sum(axis=0)}
    grad = (grad @ weights["dense"]).reshape(kept["i2"].shape)
    for layer, needs in (("2", ("input", "weight", "bias")), ("1", ("weight", "bias"))):
        y = kept[f"y{layer}"]
        grad = nbc.max_pool2d_backward(grad, kept[f"i{layer}"], y.shape)
        grad *= y > 0
        found = nbc.conv2d_backward(
            grad, kept[f"x{layer}"], weights[f"conv{layer}"], padding=1, needs=needs
        )
        gradients[f"conv{layer}"], gradients[f"conv{layer} bias"] = found.weight, found.bias
        grad = found.input
    return float(loss), gradients


class Adam:
    """D. Kingma, J. Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980."""

    def __init__(self, weights, rate=RATE):
        self.weights, self.rate, self.steps = weights, rate, 0
        self.first = {name: np.zeros_like(w) for name, w in weights.items()}
        self.second = {name: np.zeros_like(w) for name, w in weights.items()}

    def step(self, gradients):
        """Move all parameters."""
        self.steps += 1
        scale = np.float32(np.sqrt(1 - 0.999**self.steps))
        rate = np.float32(self.rate / (1 - 0.9**self.steps))
        for name, gradient in gradients.items():
            first, second = self.first[name], self.second[name]
            first += np.float32(0.1) * (gradient - first)
            second += np.float32(0.001) * (gradient * gradient - second)
            self.weights[name] -= rate * first / (np.sqrt(second) / scale + np.float32(1e-8))


def batches(count, epochs=EPOCHS, seed=0):
    """Yield the indices of each step's images: every image once an epoch, in random order."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(count)
        for first in range(0, count - BATCH + 1, BATCH):
            yield order[first : first + BATCH]


def accuracy(weights, images, labels):
    """Return the share of images that are read rightly."""
    return float((forward(weights, images)[0].argmax(axis=1) == labels).mean())


def train():
    """Return the trained weights, the loss of each step and the accuracy after each epoch."""
    (images, labels), (test_images, test_labels) = digits()
    weights = initial_weights()
    optimizer = Adam(weights)
    losses, accuracies = [], []
    each = len(images) // BATCH
    with tqdm(total=EPOCHS * each, unit="step", disable=None) as bar:
        for chosen in batches(len(images)):
            loss, gradients = loss_and_gradients(weights, images[chosen], labels[chosen])
            optimizer.step(gradients)
            losses.append(loss)
            bar.update()
            if len(losses) % each == 0:
                accuracies.append(accuracy(weights, test_images, test_labels))
                bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracies[-1]:.2%}")
    return weights, losses, accuracies


def draw(weights, losses, accuracies, path):
    """Draw the loss, the accuracy and the first layer's filters."""
    from matplotlib.figure import Figure

    figure = Figure((11, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.semilogy(losses, linewidth=0.8)
    left.set(title="loss", xlabel="step", ylabel="cross entropy")
    middle.plot(range(1, len(accuracies) + 1), accuracies)
    middle.set(title="test accuracy", xlabel="epoch", ylim=(min(0.9, *accuracies), 1))
    middle.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    filters = weights["conv1"].reshape(4, 4, 3, 3)
    tiled = np.full((4 * 4 + 1, 4 * 4 + 1), np.nan, "float32")
    for i, j in np.ndindex(4, 4):
        tiled[1 + 4 * i : 4 + 4 * i, 1 + 4 * j : 4 + 4 * j] = filters[i, j]
    most = np.abs(filters).max()
    right.imshow(tiled, cmap="RdBu", vmin=-most, vmax=most)
    right.set(title="filters of the first layer", xticks=[], yticks=[])
    figure.savefig(path, dpi=100)


def main():
    begin = time.perf_counter()
    weights, losses, accuracies = train()
    print(
        f"{len(losses)} steps, {accuracies[-1]:.2%} of the test images are read rightly, "
        f"{time.perf_counter() - begin:.1f} s"
    )
    if len(sys.argv) > 1:
        draw(weights, losses, accuracies, sys.argv[1])


if __name__ == "__main__":
    main()
