"""The tables in docs/operate are what is tested."""

import os

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operate")


def read(page, first_column):
    """Rows, as dicts by column, of the table on `page` whose first column has this heading."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as f:
        lines = f.read().splitlines()
    rows = []
    columns = None
    for line in lines:
        if not line.startswith("|"):
            columns = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if columns is None:
            columns = cells if cells[0] == first_column else []
        elif columns and not set(line) <= set("|- "):
            assert len(cells) == len(columns), f"{page}: a row with {len(cells)} cells under {len(columns)} headings: {line}"
            rows.append(dict(zip(columns, cells)))
    assert rows, f"{page} has no table that begins with {first_column}"
    return rows
