/* The graph: choosing a node shows its details, hovering shows what is coupled with it; search,
   colours, keys, and addresses `#node=NAME`. Uses `Viewport`. */

class Graph {
  #block;
  #canvas;
  #view;
  #nodes;
  #dots;
  #edges;
  #byKey = new Map();
  #byGroup = new Map();
  #ends = new Map();
  #found = [];
  #chosen = null;

  constructor(block) {
    this.#block = block;
    this.#canvas = block.querySelector(".canvas");
    this.#nodes = [...this.#canvas.querySelectorAll(".node")];
    this.#edges = [...this.#canvas.querySelectorAll(".edge")];
    this.#dots = [...block.querySelectorAll(".overview .dot")];
    this.#index();
    this.#view = new Viewport(this.#canvas, block.querySelector(".overview"));
    this.#listen();
    this.#visit(location.hash);
  }

  #index() {
    for (const node of this.#nodes) {
      if (!this.#byKey.has(node.dataset.key)) {
        this.#byKey.set(node.dataset.key, node);
      }
      for (const group of Graph.#groups(node)) {
        if (!this.#byGroup.has(group)) {
          this.#byGroup.set(group, []);
        }
        this.#byGroup.get(group).push(node);
      }
      this.#ends.set(node, { above: [], below: [], edges: [] });
    }
    for (const edge of this.#edges) {
      const [from, to] = [this.#nodes[edge.dataset.from], this.#nodes[edge.dataset.to]];
      this.#ends.get(from).below.push(to);
      this.#ends.get(to).above.push(from);
      for (const node of [from, to]) {
        this.#ends.get(node).edges.push(edge);
      }
    }
  }

  static #groups(node) {
    return node.dataset.groups?.split(" ") ?? [];
  }

  #listen() {
    const pick = (event) => event.target.closest?.(".node");
    this.#canvas.addEventListener("click", (event) => {
      const node = pick(event);
      if (node) {
        this.#choose(node);
      }
    });
    this.#canvas.addEventListener("pointerover", (event) => this.#highlight(pick(event)));
    this.#canvas.addEventListener("pointerleave", () => this.#highlight(null));
    this.#canvas.addEventListener("focusin", (event) => this.#highlight(pick(event)));
    this.#canvas.addEventListener("focusout", () => this.#highlight(null));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event, pick(event)));
    this.#block.querySelector("select").addEventListener("change", (event) => {
      this.#colour(event.target.value);
    });
    const search = this.#block.querySelector("input[type=search]");
    search.addEventListener("input", () => this.#search(search.value));
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        this.#next(event.shiftKey ? -1 : 1);
      }
    });
    const actions = {
      fit: () => this.#view.fit(),
      in: () => this.#view.zoom(1.4),
      out: () => this.#view.zoom(1 / 1.4),
    };
    for (const button of this.#block.querySelectorAll("[data-do]")) {
      button.addEventListener("click", actions[button.dataset.do]);
    }
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.('a[href^="#node="]');
      if (link) {
        event.preventDefault();
        this.#visit(link.hash);
      }
    });
    addEventListener("hashchange", () => {
      if (this.#named(location.hash) !== this.#chosen) {
        this.#visit(location.hash);
      }
    });
  }

  /* Go to the node that an address names, if it does. */
  #visit(hash) {
    const node = this.#named(hash);
    if (node) {
      this.#choose(node);
      this.#view.follow(node);
      this.#block.scrollIntoView({ block: "nearest" });
    }
  }

  #named(hash) {
    const name = /^#node=(.*)$/u.exec(hash)?.[1];
    try {
      return this.#byKey.get(decodeURIComponent(name));
    } catch {
      return undefined; // typed by hand
    }
  }

  #choose(node) {
    this.#chosen?.classList.remove("chosen");
    this.#chosen = node;
    node.classList.add("chosen");
    this.#stopAt(node);
    this.#highlight(null);
    const details = this.#block.querySelector(".details");
    details.replaceChildren(Graph.#copy(`template[data-node="${this.#nodes.indexOf(node)}"]`));
    for (const place of details.querySelectorAll("[data-copy]")) {
      place.replaceWith(Graph.#copy(`[data-name="${CSS.escape(place.dataset.copy)}"]`));
    }
    details.scrollTop = 0;
    if (this.#byKey.get(node.dataset.key) === node) {
      location.hash = `node=${encodeURIComponent(node.dataset.key)}`;
    }
  }

  /* The content of a template, or an element of the page, once more. */
  static #copy(selector) {
    const source = document.querySelector(selector);
    return (source?.content ?? source)?.cloneNode(true) ?? "";
  }

  /* Mark what is coupled with a node and its edges; with none, those of the chosen one. */
  #highlight(hovered) {
    const node = hovered ?? this.#chosen;
    for (const marked of this.#canvas.querySelectorAll(".coupled, .incident")) {
      marked.classList.remove("coupled", "incident");
    }
    const groups = node ? Graph.#groups(node) : [];
    for (const other of groups.flatMap((group) => this.#byGroup.get(group))) {
      other.classList.add("coupled");
    }
    for (const edge of node ? this.#ends.get(node).edges : []) {
      edge.classList.add("incident");
    }
  }

  #colour(colouring) {
    this.#block.dataset.colouring = colouring;
    this.#nodes.forEach((node, index) => {
      const fill = node.getAttribute(`data-fill-${colouring}`);
      node.dataset.fill = fill;
      this.#dots[index].dataset.fill = fill;
      const outlined = node.dataset.outlined?.split(" ").includes(colouring) ?? false;
      node.classList.toggle("outlined", outlined);
    });
    for (const legend of this.#block.querySelectorAll(".legend")) {
      legend.hidden = legend.dataset.colouring !== colouring;
    }
  }

  #search(text) {
    const words = text.toLocaleLowerCase().split(/\s+/u).filter(Boolean);
    const matches = (node) => {
      const content = node.querySelector("title").textContent.toLocaleLowerCase();
      return words.length > 0 && words.every((word) => content.includes(word));
    };
    this.#found = this.#nodes.filter(matches);
    const found = new Set(this.#found);
    for (const node of this.#nodes) {
      node.classList.toggle("found", found.has(node));
    }
    this.#canvas.classList.toggle("searching", words.length > 0);
    this.#count(-1);
    if (this.#found.length > 0) {
      this.#view.follow(this.#found[0]);
    }
  }

  /* The next match, or the one before, and round again. */
  #next(step) {
    if (this.#found.length === 0) {
      return;
    }
    const now = this.#found.indexOf(this.#chosen);
    const count = this.#found.length;
    const index = now < 0 ? (step > 0 ? 0 : count - 1) : (now + step + count) % count;
    this.#choose(this.#found[index]);
    this.#view.reveal(this.#found[index]);
    this.#count(index);
  }

  #count(index) {
    const count = this.#found.length;
    const all = count === 1 ? "1 node" : `${count} nodes`;
    const searching = this.#canvas.classList.contains("searching");
    const text = index < 0 ? `${all}${count ? ", Enter: go to it" : ""}` : `${index + 1} of ${all}`;
    this.#block.querySelector(".matches").value = searching ? text : "";
  }

  /* Arrows: along edges, and to the neighbours in the row. */
  #key(event, node) {
    if (!node) {
      return;
    }
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#choose(node);
      return;
    }
    const { above, below } = this.#ends.get(node);
    const next = {
      ArrowDown: () => below[0],
      ArrowUp: () => above[0],
      ArrowLeft: () => this.#beside(node, -1),
      ArrowRight: () => this.#beside(node, 1),
    }[event.key]?.();
    if (next) {
      event.preventDefault();
      this.#stopAt(next);
      next.focus({ preventScroll: true });
      this.#view.follow(next);
    }
  }

  #beside(node, step) {
    const left = (other) => other.transform.baseVal.consolidate().matrix.e;
    const row = this.#nodes
      .filter((other) => other.dataset.rank === node.dataset.rank)
      .sort((a, b) => left(a) - left(b));
    return row[row.indexOf(node) + step];
  }

  /* The tab key stops at one node only. */
  #stopAt(node) {
    this.#canvas.querySelector('.node[tabindex="0"]')?.setAttribute("tabindex", "-1");
    node.setAttribute("tabindex", "0");
  }
}

for (const block of document.querySelectorAll(".graph")) {
  new Graph(block);
}
