"""Read a scanned page by two networks on NumPy alone: PP-OCR finds the words and spells them.

The networks are those of the package rapidocr_onnxruntime, whose wheel is taken without its
dependencies; they run in ONNX's reference evaluator with our convolutions. Run as::

    pip install 'numbaconv[onnx]' scikit-image matplotlib
    pip install --no-deps rapidocr_onnxruntime==1.2.3
    python examples/read_text.py text.png

Prints the words and draws them over the page.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import skimage
from matplotlib.figure import Figure
from onnx import version_converter

import numbaconv.onnx


def load(name):
    """Return a model and its evaluator.

    Their BatchNormalization is of version 9, whose momentum the evaluator (onnx 1.23) mistakes for
    a wish to train; that of version 15 says that it does not train.
    """
    folder = Path(importlib.util.find_spec("rapidocr_onnxruntime").origin).parent
    model = onnx.load(folder / "models" / name)
    return model, numbaconv.onnx.evaluator(version_converter.convert_version(model, 15))


def run(network, image):
    """Return the first output for an image of (H, W, 3) between 0 and 1."""
    x = (np.moveaxis(image, -1, 0)[None] - 0.5) / 0.5
    # The evaluator's Sigmoid works out both of its forms everywhere, and drops what overflows.
    with np.errstate(over="ignore", invalid="ignore"):
        return network.run(None, {"x": x.astype("float32")})[0]


def lines(probability):
    """Yield (top, bottom, left, right) of the lines of text, around what is likely."""
    labels = skimage.measure.label(probability > 0.3)
    for region in skimage.measure.regionprops(labels, probability):
        top, left, bottom, right = region.bbox
        if region.intensity_mean > 0.5 and bottom - top > 4:
            # The network marks the middle of a line: its box is larger all around.
            margin = round(0.7 * (bottom - top))
            yield (
                max(top - margin, 0), min(bottom + margin, labels.shape[0] - 1),
                max(left - margin, 0), min(right + margin, labels.shape[1] - 1),
            )  # fmt: skip


def spell(network, characters, image):
    """Return what a line says: the likeliest character of each column, repetitions dropped."""
    height, width = image.shape[:2]
    scaled = skimage.transform.resize(image, (48, max(48 * width // height, 48)))
    scores = run(network, scaled)[0]
    best = scores.argmax(1)
    kept = best[(best > 0) & (np.diff(best, prepend=-1) != 0)]
    return "".join(characters[index - 1] for index in kept)


def read(page):
    """Return a page of grey values, enlarged and in colours, and (text, box) of its lines."""
    page = skimage.color.gray2rgb(page)
    size = [32 * -(-3 * n // 32) for n in page.shape[:2]]  # what the network takes
    page = skimage.transform.resize(page, size)
    _, finder = load("ch_PP-OCRv3_det_infer.onnx")
    model, reader = load("ch_PP-OCRv3_rec_infer.onnx")
    (metadata,) = (m.value for m in model.metadata_props if m.key == "character")
    characters = [*metadata.splitlines(), " "]
    found = []
    for box in lines(run(finder, page)[0, 0]):
        top, bottom, left, right = box
        found.append((spell(reader, characters, page[top:bottom, left:right]), box))
    return page, found


def main():
    page, found = read(skimage.data.page())
    figure = Figure((14, 4), layout="constrained")
    picture, spelt = figure.subplots(1, 2, sharex=True, sharey=True)
    picture.imshow(page)
    for axes in (picture, spelt):
        axes.axis("off")
    for text, (top, bottom, left, right) in found:
        print(text)
        picture.plot([left, right, right, left, left], [top, top, bottom, bottom, top], "C0")
        spelt.text(left, (top + bottom) / 2, text, fontsize=12, verticalalignment="center")
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "text.png", dpi=60)


if __name__ == "__main__":
    main()
