#!/usr/bin/env python3
"""Where should the fixed sequence start, and how coarse should it step? By simulation, without any recorded file.

Confidence ranks n test rows; a row at rank u in (0, 1) is bad with probability sigmoid(a + b u). Eight curves (a, b) from hardly to well
separated. For each start (the fewest rows at which k bad ones still pass) and step: mean share served over what a
threshold in hindsight could serve, and how often the true risk of what is served exceeds alpha.
"""
import math
import random

ALPHA = DELTA = 0.10
CURVES = [(-6, 6), (-5, 4), (-4, 3), (-4, 5), (-5, 7), (-3.5, 2), (-7, 9), (-3, 1.5)]
ROUNDS = 300


def critical(n):
    """Most bad rows of n that still pass; -1 where none does."""
    k, term, total = -1, (1 - ALPHA) ** n, 0.0
    while total + term <= DELTA:
        total += term
        k += 1
        term *= (n - k) / (k + 1) * ALPHA / (1 - ALPHA)
    return k


def main():
    random.seed(1)
    sigmoid = lambda z: 1 / (1 + math.exp(-z))
    for n in (200, 500, 1500):
        limit = [critical(m) for m in range(n + 1)]
        least = lambda bad: next((m for m in range(1, n + 1) if limit[m] >= bad), n + 1)
        starts, steps = (0, 3, 5, 7, 9, 12, 15), (1, 5, 10, 20)
        served = {(k, s): 0.0 for k in starts for s in steps}
        broken = dict.fromkeys(served, 0)
        runs = 0
        for a, b in CURVES:
            grid, risk, total = 2000, [], 0.0
            for i in range(grid):
                total += sigmoid(a + b * (i + 0.5) / grid)
                risk.append(total / (i + 1))
            feasible = max((i + 1 for i in range(grid) if risk[i] <= ALPHA), default=0) / grid
            if not feasible:
                continue
            for _ in range(ROUNDS):
                runs += 1
                ranks = sorted(random.random() for _ in range(n))
                bad = [0]
                for u in ranks:
                    bad.append(bad[-1] + (random.random() < sigmoid(a + b * u)))
                for k in starts:
                    for s in steps:
                        m, last = least(k), 0
                        while m <= n and bad[m] <= limit[m]:
                            last, m = m, m + s
                        share = ranks[last - 1] if last else 0.0
                        served[k, s] += share / feasible
                        broken[k, s] += last > 0 and risk[min(int(share * grid), grid - 1)] > ALPHA
        print(f"\n{n} test rows, served / feasible (violations); start by the bad rows that it forgives\n\n| start (rows) | " + " | ".join(f"step {s}" for s in steps) + " |")
        print("| --- |" + " --- |" * len(steps))
        for k in starts:
            if least(k) <= n:
                print(f"| {k} ({least(k)}) | " + " | ".join(f"{served[k, s] / runs:.3f} ({broken[k, s] / runs:.3f})" for s in steps) + " |")


if __name__ == "__main__":
    main()
