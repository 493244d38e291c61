"""The command: ``python -m lab.bench.masterd [--runs N]`` measures LUXI and prints one table."""

import argparse
import sys

from lab import luxids
from lab.bench import figures, reports
from lab.bench.masterd import listings


def main() -> int:
    """Measure, and show it."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.masterd", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of everything (default: 3)")
    options = parser.parse_args()
    missing = luxids.missing()
    if missing:
        sys.stderr.write(f"Ganeti's daemon is not measured: it {missing}\n")
    found = figures.Results()
    for _ in range(options.runs):
        for size in listings.SIZES:
            listings.measure(found, size, with_peer=not missing)
    sys.stdout.write(f"{reports.plain(reports.rows(found, listings.catalogue()))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
