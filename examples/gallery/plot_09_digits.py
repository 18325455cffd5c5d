"""
A network that reads digits
===========================

Two layers of convolutions and a dense one, trained on scikit-learn's handwritten digits in some
seconds: `examples/train_digits.py` of the repository has the network, its gradients and Adam.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, "..")  # the script runs in its own folder
import train_digits

weights, losses, accuracies = train_digits.train()
print(f"{100 * accuracies[-1]:.1f} % of the test images are read")

# %%

figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].semilogy(losses, linewidth=0.7)
axes[0].set(xlabel="step", ylabel="loss")
axes[1].plot(100 * np.asarray(accuracies))
axes[1].set(xlabel="pass over the images", ylabel="% of the test images read")

# %%
# What the first layer has learnt to look for.

kernels = weights["conv1"]
figure, axes = plt.subplots(2, 8, figsize=(8, 2.2), layout="constrained")
for axis, kernel in zip(axes.flat, kernels[:16, 0], strict=False):
    axis.imshow(kernel, cmap="RdBu")
for axis in axes.flat:
    axis.axis("off")
