"""What is asked: arguments, the formulas of sizes and indices, the canonical problem, its arrays.

Imports from here alone, but for NumPy; imported from everywhere.
"""
