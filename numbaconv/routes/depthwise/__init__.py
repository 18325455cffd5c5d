"""Depthwise convolution, and images of few channels: the plan and the loops."""
