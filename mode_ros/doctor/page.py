"""What the doctor says: what was looked at, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mode_ros.checks.finding import Finding


@dataclass
class Page:
    """facts: (what, in words), in order; findings: what is suspicious; notes: what is worth knowing, and harmless."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    def add(self, findings: Sequence[Finding]) -> None:
        """Each is kept once."""
        for each in findings:
            kept = self.notes if each.note else self.findings
            if each not in kept:
                kept.append(each)

    def text(self) -> str:
        """One line per fact and finding."""
        width = max((len(name) for name, _ in self.facts), default=0)
        lines = [self.title, *(f'  {name:<{width}}  {words}' for name, words in self.facts)]
        lines += [f'  note: {note}' for note in self.notes]
        if not self.findings:
            return '\n'.join([*lines, 'Nothing suspicious was found.'])
        count = len(self.findings)
        lines.append(f'{count} {"thing" if count == 1 else "things"} to look at:')
        return '\n'.join([*lines, *(f'  {finding}' for finding in self.findings)])
