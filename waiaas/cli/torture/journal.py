"""The own file of a client or an owner: each line is on disk before it goes on, so nobody forgets what was asked."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from waiaas.cli.torture.facts import Answer, Decided, Decision, Elsewhere, Gone, Intent, Renewal, Seen

Line = Intent | Answer | Seen | Decision | Decided | Renewal | Elsewhere | Gone
LINE = msgspec.json.Decoder(Line)


class Journal:
    """One program's lines, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: Line) -> None:
        """On disk when it returns."""
        os.write(self._descriptor, msgspec.json.encode(line) + b"\n")
        os.fsync(self._descriptor)

    def close(self) -> None:
        """No line follows."""
        os.close(self._descriptor)


class Records(msgspec.Struct, frozen=True):
    """What all programs wrote: intents by id, answers by intent, final statuses they were told by transaction.

    Of owners: decisions by id, and the answers to them. Of sessions: how often each was asked to be renewed, and was.
    `elsewhere`: what a stranger signed, by hash; `gone`: hashes that were in a block which is none any more.
    """

    intents: dict[str, Intent]
    answers: dict[str, list[Answer]]
    seen: dict[str, list[str]]
    decisions: dict[str, Decision]
    decided: dict[str, Decided]
    renewals: dict[str, tuple[int, int]]
    elsewhere: dict[str, Elsewhere]
    gone: set[str]

    def accepted(self) -> dict[str, str]:
        """Intent → transaction, of all that the daemon took upon itself."""
        return {
            intent: str(answer.transaction)
            for intent, answers in self.answers.items()
            for answer in answers
            if answer.accepted
        }


def read(paths: Iterable[Path]) -> Records:
    """The journals, decoded."""
    records = Records({}, {}, {}, {}, {}, {}, {}, set())
    for path in sorted(paths):
        for text in path.read_bytes().splitlines():
            match LINE.decode(text):
                case Intent() as intent:
                    records.intents[intent.id] = intent
                case Answer() as answer:
                    records.answers.setdefault(answer.intent, []).append(answer)
                case Seen() as seen:
                    records.seen.setdefault(seen.transaction, []).append(seen.status)
                case Decision() as decision:
                    records.decisions[decision.id] = decision
                case Decided() as decided:
                    records.decided[decided.decision] = decided
                case Elsewhere() as strange:
                    records.elsewhere[strange.hash] = strange
                case Gone(hash=lost):
                    records.gone.add(lost)
                case Renewal(session=session, done=done):
                    asked, answered = records.renewals.get(session, (0, 0))
                    records.renewals[session] = (asked + (not done), answered + done)
    return records
