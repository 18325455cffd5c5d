"""Matrices that are turned by a team: channels laid out together, or apart."""

from numbaconv.native.link import call
from numbaconv.teams import jobs


@jobs.team_kernel
def turn(
    team: int, workers: int, images: int, parts: int, each: int, rows: int, columns: int,
    size: int, source: int, image_step: int, row_step: int, to: int, to_image: int, to_row: int,
    transpose: int,
) -> None:  # fmt: skip
    """Turn matrices of `rows` by `columns` elements, `each` of the columns at a time.

    Steps are in bytes; `transpose` is a `numbaconv.native.transpose.transposer`.
    """
    shared = (
        parts, each, rows, columns, size, source, image_step, row_step, to, to_image, to_row,
        transpose,
    )  # fmt: skip
    jobs.fork_tasks(team, workers, images * parts, _turn_part, shared)


@jobs.team_part
def _turn_part(
    task: int, worker: int, parts: int, each: int, rows: int, columns: int, size: int, source: int,
    image_step: int, row_step: int, to: int, to_image: int, to_row: int, transpose: int,
) -> None:  # fmt: skip
    image, first = task // parts, task % parts * each
    call(
        transpose,
        (
            rows, rows, min(each, columns - first), source + image * image_step + first * size,
            row_step, to + image * to_image + first * to_row, to_row,
        ),
    )  # fmt: skip
