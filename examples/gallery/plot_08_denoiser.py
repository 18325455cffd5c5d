"""
A denoiser, trained on patches
==============================

Two layers of convolutions learn to take noise off photographs, by the library's gradients and a
dozen lines of Adam. No framework.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage
from sklearn.datasets import load_sample_images

import numbaconv as nbc

rng = np.random.default_rng(0)
NOISE = 0.12
photographs = [skimage.color.rgb2gray(p).astype("float32") for p in load_sample_images().images]


def patches(count, size=40):
    """Return clean and noisy squares of the photographs, of shape (N, 1, H, W)."""
    clean = np.empty((count, 1, size, size), "float32")
    for k in range(count):
        photograph = photographs[rng.integers(len(photographs))]
        y, x = (rng.integers(n - size) for n in photograph.shape)
        clean[k, 0] = photograph[y : y + size, x : x + size]
    return clean, clean + NOISE * rng.standard_normal(clean.shape, dtype="float32")


# %%
# The network guesses the noise: 5 by 5 to 24 channels, what is positive of them, and 5 by 5 back.
# The gradient is two calls of :func:`numbaconv.conv2d_backward`.

weights = [
    (0.2 * rng.standard_normal((24, 1, 5, 5))).astype("float32"), np.zeros(24, "float32"),
    (0.04 * rng.standard_normal((1, 24, 5, 5))).astype("float32"), np.zeros(1, "float32"),
]  # fmt: skip


def forward(x):
    """Return the hidden layer and the noise that the network sees."""
    hidden = np.maximum(nbc.conv2d(x, weights[0], weights[1], padding=2), 0)
    return hidden, nbc.conv2d(hidden, weights[2], weights[3], padding=2)


def gradients(x, noise):
    """Return the mean squared error and its gradients."""
    hidden, guess = forward(x)
    error = guess - noise
    last = nbc.conv2d_backward(2 * error / error.size, hidden, weights[2], padding=2)
    inner = np.where(hidden > 0, last.input, 0)
    first = nbc.conv2d_backward(inner, x, weights[0], padding=2)
    return (error**2).mean(), [first.weight, first.bias, last.weight, last.bias]


moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
losses = []
for step in range(1, 401):
    clean, noisy = patches(16)
    loss, found = gradients(noisy, noisy - clean)
    losses.append(loss)
    for w, (m, v), g in zip(weights, moments, found, strict=True):
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        w -= 0.003 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
print(f"squared error {losses[0]:.4f} at first, {np.mean(losses[-20:]):.4f} at last")

# %%
# On a picture that it has not seen.

image = skimage.img_as_float32(skimage.data.camera())
noisy = image + NOISE * rng.standard_normal(image.shape, dtype="float32")
denoised = noisy - forward(noisy[None, None])[1][0, 0]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for axis, (name, picture) in zip(
    axes, {"clean": image, "noisy": noisy, "denoised": denoised}.items(), strict=True
):
    error = np.sqrt(np.mean((picture - image) ** 2))
    axis.imshow(picture[60:260, 130:330], cmap="gray", vmin=0, vmax=1)
    axis.set_title(name if error == 0 else f"{name}, error {error:.3f}", fontsize=10)
    axis.axis("off")

figure, axis = plt.subplots(figsize=(8, 2.5), layout="constrained")
axis.semilogy(losses)
axis.set(xlabel="step", ylabel="squared error")
