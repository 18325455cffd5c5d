"""The ``numbaconv`` command: exit status 0, 2 for a user's mistake, 130 after Ctrl-C.

After SIGTERM it is 143, as shells have it.
"""

import sys


def main() -> None:
    """Run the command line, or say in one line which extra it needs."""
    try:
        import click
        import filelock  # noqa: F401
        import PIL  # noqa: F401
        import tqdm  # noqa: F401
    except ImportError as error:
        print(
            f"numbaconv: the command line needs {error.name}: pip install 'numbaconv[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    try:
        from numbaconv.cli.commands import numbaconv

        sys.exit(numbaconv.main(standalone_mode=False) or 0)
    except (KeyboardInterrupt, click.Abort) as error:
        # click makes an Abort of what interrupts a command.
        cause = error.__cause__ or error
        # CPython remembers an interruption that passed through exec of a string, as where Numba
        # compiles, and would end by the signal in spite of sys.exit; another exec forgets it.
        exec("")
        sys.exit(143 if type(cause).__name__ == "Terminated" else 130)
    except click.ClickException as error:
        _fail(error.format_message())
    except (ValueError, TypeError, OSError, MemoryError) as error:
        _fail(str(error) or type(error).__name__)
    except Exception as error:  # a mistake of ours, perhaps, but never a traceback
        _fail(f"{type(error).__name__}: {error}")


def _fail(message: str) -> None:
    print("numbaconv: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
