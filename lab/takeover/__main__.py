"""Run one schedule, and tell what happens: ``python -m lab.takeover SEED``."""

import logging
import sys

from lab.takeover import running


def main(words: list[str]) -> int:
    """Run the schedules of these seeds; return the exit status."""
    if not words or not all(word.isdecimal() for word in words):
        print("usage: python -m lab.takeover SEED …", file=sys.stderr)
        return 2
    logging.disable(logging.CRITICAL)
    failed = False
    for word in words:
        outcome = running.run(int(word), print)
        print(
            f"seed {word}: {outcome.reigns} reigns, {outcome.accepted} jobs accepted,"
            f" {outcome.done} done"
        )
        for wrong in outcome.broken:
            print(f"WRONG: {wrong}")
        failed = failed or bool(outcome.broken)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
