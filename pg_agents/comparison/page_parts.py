"""How a page of a comparison looks, and the one thing that it does: tables are sorted by a column."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #20242b; --quiet: #5d6673; --line: #dde1e6; --sheet: #f5f6f8; --mark: #9a5b00;
}
@media (prefers-color-scheme: dark) {
  :root { --page: #14171c; --ink: #e4e7ec; --quiet: #a0a8b4; --line: #2c323b; --sheet: #1c2027; --mark: #e8b25a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; }
header p { color: var(--quiet); margin: 4px 0 0; }
.panels > section { display: grid; gap: 8px 32px; margin: 32px 0; grid-template-columns: minmax(0, 1fr); }
.panels h2 { grid-column: 1 / -1; margin: 0; }
picture, img { display: block; width: 100%; height: auto; max-width: 40rem; }
.table { overflow-x: auto; align-self: start; }
@media (min-width: 1250px) { .panels > section { grid-template-columns: 31rem minmax(0, 1fr); } }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: 5px 9px; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.left { text-align: left; }
th { vertical-align: bottom; font-weight: 600; white-space: normal; line-height: 1.3; }
th button { all: unset; cursor: pointer; color: inherit; }
th button:hover { text-decoration: underline; }
th button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
tfoot td { color: var(--quiet); }
.line { vertical-align: middle; margin-right: 8px; }
.notes { background: var(--sheet); border-left: 3px solid var(--mark); padding: 10px 14px; margin: 16px 0 0; }
.notes ul { margin: 4px 0 0; padding-left: 20px; overflow-wrap: anywhere; }
details { border-top: 1px solid var(--line); padding: 12px 0; }
summary { cursor: pointer; font-weight: 600; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
details p { max-width: 80ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 8px 0 0; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
@media print { details > * { display: revert; } }
"""

SCRIPT = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0], column = head.cellIndex;
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) => a === b ? 0 : a === "" ? 1 : b === "" ? -1 :
      (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b) * (down ? -1 : 1);
    for (const row of [...body.rows].sort((a, b) => order(key(a), key(b)))) body.append(row);
  });
}
"""
