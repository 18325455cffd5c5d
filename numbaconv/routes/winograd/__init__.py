"""Winograd's method: the plan, its matrices, the stages of its transforms, and the loops."""
