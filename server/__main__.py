"""Where the process begins: `coccinelle`, or `python -m server`."""

import gc


def main() -> None:
    """The command line: 0 done, 1 refused or failed, 2 wrong use or wrong settings."""
    # What is imported stays: looking for garbage in it would be a fifth of every command's start.
    gc.disable()
    from server.command_line import run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
