"""From a problem to a result: the choice, weights in an algorithm's form, the run, huge images.

Imports from `problem`, `kernels`, `native` and `routes`; imported by doors and by what they run.
"""
