"""``numbaconv apply``: a batch of images through one convolution."""

from numbaconv.cli import streams
from numbaconv.cli.job import Job
from numbaconv.cli.pictures import run as pictures
from numbaconv.cli.pictures.inputs import suffixes
from numbaconv.cli.quiet import quiet_libraries


def run(job: Job) -> int:
    """Do the job, say what came of it, and return the exit status."""
    images = _is_images(job)
    files = [job.montage] if images else [job.target, job.montage]
    for path in files:
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} cannot be written: there is no folder {path.parent}")
    if job.montage is not None and job.montage.suffix.lower() != ".png":
        raise ValueError(f"--montage takes a .png file, got {job.montage}")
    with quiet_libraries():
        if images:
            return pictures.run(job, job.convolution(images=True))
        source = streams.open_source(job)
        return streams.run(job, source, job.convolution(images=False))


def _is_images(job: Job) -> bool:
    """Return whether INPUT is a folder of images, or one image."""
    if job.source.is_dir():
        return not streams.is_zarr(job.source)
    return job.source.suffix.lower() in suffixes()
