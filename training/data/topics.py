"""Which topic of a bag holds which topic of the contract.

A name with a leading slash is that topic and no other. Relative names live in one namespace, that of the nodes: the
bag's topics decide which. A topic is never taken for another only because their names end alike.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from mode_ros.checks.finding import listed
from mode_ros.training.data.bags import BagProblem


def match_topics(
    needed: Sequence[str],
    optional: Sequence[str],
    recorded: Collection[str],
    told: Mapping[str, str] | None,
    advice: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """The bag's topic for each of the contract's names, None for an optional one that is not there.

    recorded: topics of the bag; told: what a bag of this project says of its topics (contract's name to the bag's),
    None for another's; advice: what to do besides where a topic is missing, by name. Raises BagProblem naming every
    needed topic that is missing, and the near one.
    """
    # What one stream names in full is no other's, even where a namespace would make it so.
    claimed = {name for name in needed if name.startswith('/')}
    if told is not None:
        matched = {name: told.get(name, _absolute(name)) for name in (*needed, *optional)}
    else:
        namespace = _namespace([name for name in needed if not name.startswith('/')], set(recorded) - claimed)
        matched = {name: _in(namespace, name) for name in (*needed, *optional)}
    taken = [name for name in needed if matched[name] in claimed and matched[name] not in (name, _absolute(name))]
    missing = [name for name in needed if matched[name] not in recorded or name in taken]
    if missing:
        # A goal or a mark is no stream, whatever namespace it is in.
        told_besides = set(optional) | {_absolute(name) for name in optional}
        free = sorted(set(recorded) - set(matched.values()) - claimed - told_besides)
        ways = advice or {}
        raise BagProblem(
            '; '.join(_missing(name, matched[name], free, recorded) + ways.get(name, '') for name in missing)
        )
    found: dict[str, str | None] = {}
    for name in (*needed, *optional):
        choice = matched[name]
        if choice not in recorded and name in optional:
            # What is said to all robots may be said outside the namespace of one.
            choice = _absolute(name)
        found[name] = choice if choice in recorded else None
    return found


def _namespace(relative: Sequence[str], recorded: Collection[str]) -> str:
    """'' or '/left': where the relative names are, all of them if that is possible."""
    if not relative:
        return ''
    choices = {''}
    for name in relative:
        ending = _absolute(name)
        choices |= {topic.removesuffix(ending) for topic in recorded if topic.endswith(ending)}
    count = {choice: sum(_in(choice, name) in recorded for name in relative) for choice in choices}
    best = max(count.values())
    fitting = sorted(choice for choice in choices if count[choice] == best)
    if '' in fitting or not best:
        return ''
    if len(fitting) > 1:
        example = relative[0]
        matches = [_in(choice, example) for choice in fitting]
        raise BagProblem(f'the topic {example!r} could be any of {matches}; name it in full in the contract')
    return fitting[0]


def _in(namespace: str, name: str) -> str:
    return name if name.startswith('/') else namespace + _absolute(name)


def _absolute(name: str) -> str:
    return '/' + name.removeprefix('~').lstrip('/')


def _missing(name: str, wanted: str, free: Sequence[str], recorded: Collection[str]) -> str:
    alike = [topic for topic in free if topic.endswith(wanted) or wanted.endswith(topic)]
    near = alike or difflib.get_close_matches(wanted, free, n=1)
    if near:
        return f'the topic {name!r} is missing; did you mean {near[0]!r}? Then write that in the contract'
    if free:
        return (
            f'the topic {name!r} is missing; record it, or name in the contract one that nothing else is read from: '
            f'{listed(free, 12)}'
        )
    return (
        f'the topic {name!r} is missing, and all others ({listed(sorted(recorded), 12)}) are of other streams; record '
        'it, or take it out of the contract'
    )
