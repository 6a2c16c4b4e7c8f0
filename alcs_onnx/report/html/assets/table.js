/* Tables: a click on a header sorts, typing into the filter hides rows, a click on a row follows
   its first link. */

class SortableTable {
  #body;
  #headers;
  #rows;

  constructor(block) {
    const table = block.querySelector("table");
    this.#body = table.tBodies[0];
    this.#headers = [...table.tHead.rows[0].cells];
    this.#rows = [...this.#body.rows];
    this.#headers.forEach((header, column) => {
      header.querySelector("button").addEventListener("click", () => this.#sort(column));
    });
    this.#body.addEventListener("click", SortableTable.#follow);
    const filter = block.querySelector(".filter");
    filter?.querySelector("input").addEventListener("input", (event) => {
      const shown = this.#filter(event.target.value);
      const all = this.#rows.length;
      filter.querySelector("output").value =
        shown === all ? `${all} rows` : `${shown} of ${all} rows`;
    });
  }

  /* Numbers begin with the largest, text with the first; another click turns the order round. */
  #sort(column) {
    const header = this.#headers[column];
    const numeric = header.classList.contains("number");
    const first = numeric ? "descending" : "ascending";
    const order = { ascending: "descending", descending: "ascending" }[header.ariaSort] ?? first;
    for (const other of this.#headers) {
      other.ariaSort = other === header ? order : "none";
    }
    const sign = order === "ascending" ? 1 : -1;
    const keyed = this.#rows.map((row) => ({ row, key: SortableTable.#key(row.cells[column], numeric) }));
    keyed.sort((a, b) => SortableTable.#compare(a.key, b.key, sign));
    this.#body.append(...keyed.map(({ row }) => row));
  }

  static #key(cell, numeric) {
    const text = cell.textContent;
    if (numeric) {
      return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
    }
    return text === "-" ? null : text;
  }

  /* Missing values are last in either order. */
  static #compare(a, b, sign) {
    if (a === null || b === null) {
      return Number(a === null) - Number(b === null);
    }
    const difference =
      typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return sign * difference;
  }

  #filter(text) {
    const words = text.toLocaleLowerCase().split(/\s+/u).filter(Boolean);
    let shown = 0;
    for (const row of this.#rows) {
      const content = row.textContent.toLocaleLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
      shown += Number(!row.hidden);
    }
    return shown;
  }

  static #follow(event) {
    const selecting = String(getSelection()) !== "";
    if (!selecting && !event.target.closest("a")) {
      event.target.closest("tr")?.querySelector("a")?.click();
    }
  }
}

for (const block of document.querySelectorAll(".table")) {
  new SortableTable(block);
}
