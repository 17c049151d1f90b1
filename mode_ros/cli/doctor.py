"""Look for what is wrong. Without an argument: at this installation; what to type stands below what is wrong."""

import argparse

HELP = 'look for what is wrong with this installation'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to say: it looks at everything."""


def run(arguments: argparse.Namespace) -> int:
    """Return 1 if something is wrong."""
    from mode_ros.checks.installation import WRONG, examine, table
    from mode_ros.checks.machine import here

    lines = examine(here(lambda text: print(text, flush=True)))
    print(table(lines))
    wrong = [line.what for line in lines if line.level == WRONG]
    print(f'\nTo be mended: {", ".join(wrong)}.' if wrong else '\nReady.')
    return 1 if wrong else 0
