"""
A network from ONNX reads a page
================================

PP-OCR finds the lines of a scanned page and spells them, in the ONNX project's evaluator on NumPy,
with numbaconv's convolutions. The networks are those of the package rapidocr_onnxruntime; its
dependencies are not needed. `examples/read_text.py` of the repository has the code.
"""

import sys

import matplotlib.pyplot as plt
import skimage

sys.path.insert(0, "..")  # the script runs in its own folder
import read_text

page, lines = read_text.read(skimage.data.page())
for text, _ in lines:
    print(text)

# %%

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.imshow(page)
for _, (top, bottom, left, right) in lines:
    axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], "C0")
axes.axis("off")
