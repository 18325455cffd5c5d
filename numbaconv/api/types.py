"""The types of arguments that many doors share."""

#: One int for all spatial axes, or one per axis.
IntOrAxes = int | tuple[int, ...]
