"""
A signal: heartbeats
====================

Wavelets of many lengths over an electrocardiogram are one convolution of one channel to many. The
record is PyWavelets' own.
"""

import matplotlib.pyplot as plt
import numpy as np
import pywt

import numbaconv as nbc

record = pywt.data.ecg().astype("float64")
record -= record.mean()

# %%
# Complex Morlet wavelets, each a wave under a bell: complex kernels, in one array with zeros around
# the shorter ones.

lengths = np.geomspace(4, 90, 40)
reach = 250
t = np.arange(-reach, reach + 1)
bank = np.exp(2j * np.pi * t / lengths[:, None] - (t / (0.8 * lengths[:, None])) ** 2 / 2)
bank /= np.abs(bank).sum(axis=1, keepdims=True)

scales = nbc.conv1d(record[None], bank[:, None], padding="same", padding_mode="symmetric")
print(scales.shape, scales.dtype)

figure, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
axes[0].plot(record, linewidth=0.8)
axes[0].set_ylabel("potential")
axes[1].pcolormesh(np.arange(len(record)), lengths, np.abs(scales), cmap="magma")
axes[1].set(yscale="log", ylabel="wavelength (samples)", xlabel="sample")

# %%
# Beats are where the short waves are strong: the largest of each neighbourhood, by a max pool that
# moves one sample at a time.

strength = np.abs(scales[(lengths > 5) & (lengths < 15)]).sum(axis=0)
largest = nbc.max_pool1d(strength[None], 61, stride=1, padding=30)[0]
beats = np.flatnonzero((strength == largest) & (strength > 0.5 * strength.max()))
print("beats at", beats, "with", np.diff(beats), "samples between")

figure, axis = plt.subplots(figsize=(9, 2.5), layout="constrained")
axis.plot(record, linewidth=0.8)
axis.plot(beats, record[beats], "C1v")
axis.set_xlabel("sample")
