"""Filters of single planes as they lie: read, summed, rounded and written row by row."""
