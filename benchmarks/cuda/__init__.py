"""numbaconv.cuda on an NVIDIA GPU: checked, timed, and set beside PyTorch (cuDNN).

Run as ``python -m benchmarks.cuda --out FOLDER [--quick]``; ``python -m benchmarks.cuda.report
FOLDER`` then writes ``results/cuda.json`` and ``cuda.png``, on any machine.
"""
