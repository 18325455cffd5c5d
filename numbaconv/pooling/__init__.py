"""Pools behind their doors: geometry, the forward passes, and what flows back."""
