#!/usr/bin/env python3
"""House rules that check themselves: python3 tools/tidy/tidy.py [--root DIR]. Exit 1 when something is found."""

import argparse
import sys
from pathlib import Path

import coroutines
import layers
import source
import text

CHECKS = layers.CHECKS + coroutines.CHECKS + text.CHECKS


def problems_in(files):
    found = [problem for check in CHECKS for problem in check(files)]
    return sorted(set(found), key=lambda p: (p.path, p.line, p.rule, p.message))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=Path(__file__).resolve().parents[2], help="the repository (default: this one)")
    args = parser.parse_args()
    files = source.repository_files(args.root)
    if not any(f.is_cpp for f in files):
        sys.exit(f"tidy: found no C++ files below {args.root}: wrong folder?")
    found = problems_in(files) + list(source.links_outside(args.root))
    for problem in found:
        print(problem)
    print(f"tidy: {len(files)} files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
