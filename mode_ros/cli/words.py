"""Tell a policy what other words mean: mode_ros words runs/drawers/policy words.yaml learns it from sentences alone.

The file has the policy's own sentences (goals.json), each with other ways to say it, and what means none of them:

    open the drawer: [slide the drawer open, draw it out, ...]
    close the drawer: [slide the drawer shut, push it in, ...]
    none of these: [make me a sandwich, go home, ...]

Sentences that are not in the file are then read as the taught one that they most likely mean, if any; weights and
taught sentences stay as they are. It is kept beside the weights (words.safetensors): remove it, and all is as before.
--read says what sentences are taken for. Exit status: 0 when done, 1 after an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'tell a policy what other words mean, without training it'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('checkpoint', type=Path, help='checkpoint folder')
    parser.add_argument('sentences', type=Path, nargs='?', metavar='FILE', help='YAML; without it, with --read')
    parser.add_argument('--read', nargs='+', default=[], metavar='SENTENCE', help='say what these are taken for')


def run(arguments: argparse.Namespace) -> int:
    """Learns, writes beside the weights, and says how well it reads."""
    from mode_ros.errors import UserError
    from mode_ros.policy.checkpoint_info import read_info
    from mode_ros.policy.language import build_text_encoder
    from mode_ros.policy.words import NAME, ReadingEncoder, write_words

    folder = arguments.checkpoint
    if arguments.sentences is None and not arguments.read:
        raise UserError('Give a file of sentences to learn from, or --read SENTENCE.')
    if not all(map(str.strip, arguments.read)):
        raise UserError('A sentence after --read is empty.')
    info = read_info(folder, with_words=arguments.sentences is None)
    if not info.goals:
        raise UserError(f'{folder} does not say what it was taught (goals.json), so that nothing can be read as it.')
    encoder, words = build_text_encoder(info.config.text_encoder), info.words
    if arguments.sentences is not None:
        from mode_ros.training.words import learn, read_examples

        examples = read_examples(arguments.sentences, info.goals)
        words, estimate = learn(examples, encoder)
        write_words(folder, words)
        total = sum(estimate)
        print(
            f'{folder / NAME}: {len(examples.sentences)} sentences, {len(words.meanings)} meanings. Of {total} left '
            f'out in turns {estimate} (which is right of those that mean none).'
        )
    if words is None:
        raise UserError(f'{folder} has no {NAME}: give a file of sentences to learn it from.')
    reading = ReadingEncoder(encoder, info.goals, words)
    for sentence in arguments.read:
        meaning, sure, taught = reading.reading(sentence)
        if taught:
            print(f'{sentence!r}: was taught')
        elif meaning:
            print(f'{sentence!r}: read as {meaning!r} ({sure:.0%} sure)')
        else:
            print(f'{sentence!r}: not read; the policy makes of it what it can')
    return 0
