/* The part of an SVG's drawing that is in view: dragging moves it, the wheel zooms, and an
   overview beside it shows where one is. */

class Viewport {
  static #LEAST = 0.02;
  static #MOST = 3;
  /* From these scales on, nodes show their titles, and all they say. */
  static #TITLES = 0.34;
  static #LINES = 0.68;

  #svg;
  #overview;
  #whole;
  #scale = 1;
  #x = 0;
  #y = 0;

  constructor(svg, overview) {
    this.#svg = svg;
    this.#overview = overview;
    const { x, y, width, height } = svg.viewBox.baseVal;
    this.#whole = { x, y, width, height };
    this.#sizeOverview();
    this.#listen();
    this.start();
  }

  /* All of the drawing. */
  fit() {
    const { x, y, width, height } = this.#whole;
    this.#scale = Math.min(this.#fitting(), 1.25);
    this.#centre(x + width / 2, y + height / 2);
  }

  /* All of it where that can be read, else its top: in the middle, whatever is on its sides. */
  start() {
    if (this.#fitting() >= Viewport.#LINES) {
      this.fit();
      return;
    }
    const { x, y, width } = this.#whole;
    const { clientWidth, clientHeight } = this.#svg;
    this.#scale = Math.min(Math.max(clientWidth / width, Viewport.#LINES + 0.1), 1);
    const fits = width * this.#scale <= clientWidth;
    const middle = fits ? x + width / 2 : this.#topMiddle(x + width / 2);
    this.#centre(middle, y + clientHeight / this.#scale / 2);
  }

  /* The middle of a node of the first row, of that one which is nearest to `middle`. */
  #topMiddle(middle) {
    const nodes = [...this.#svg.querySelectorAll(".node")].map(Viewport.#middle);
    const top = Math.min(...nodes.map(([, y]) => y));
    const found = nodes.filter(([, y]) => y <= top).map(([x]) => x);
    return found.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0] ?? middle;
  }

  zoom(factor, clientX, clientY) {
    const { left, top, width, height } = this.#svg.getBoundingClientRect();
    const [dx, dy] = [(clientX ?? left + width / 2) - left, (clientY ?? top + height / 2) - top];
    const [x, y] = [this.#x + dx / this.#scale, this.#y + dy / this.#scale];
    const least = Math.min(Viewport.#LEAST, this.#fitting());
    this.#scale = Math.min(Math.max(this.#scale * factor, least), Viewport.#MOST);
    this.#x = x - dx / this.#scale;
    this.#y = y - dy / this.#scale;
    this.#show();
  }

  /* Bring an element of the drawing to the middle, large enough to be read. */
  reveal(element) {
    this.#scale = Math.max(this.#scale, Viewport.#LINES + 0.1);
    this.#centre(...Viewport.#middle(element));
  }

  /* As `reveal`, but only where it is out of view. */
  follow(element) {
    const [x, y] = Viewport.#middle(element);
    const { clientWidth, clientHeight } = this.#svg;
    const [dx, dy] = [(x - this.#x) * this.#scale, (y - this.#y) * this.#scale];
    const edge = 60;
    if (dx < edge || dy < edge || dx > clientWidth - edge || dy > clientHeight - edge) {
      this.reveal(element);
    }
  }

  static #middle(element) {
    const { e, f } = element.transform.baseVal.consolidate().matrix;
    const { width, height } = element.querySelector("rect").getBBox();
    return [e + width / 2, f + height / 2];
  }

  #fitting() {
    const { width, height } = this.#whole;
    const { clientWidth, clientHeight } = this.#svg;
    return Math.min(clientWidth / width, clientHeight / height);
  }

  #centre(x, y) {
    this.#x = x - this.#svg.clientWidth / this.#scale / 2;
    this.#y = y - this.#svg.clientHeight / this.#scale / 2;
    this.#show();
  }

  #show() {
    const { clientWidth, clientHeight } = this.#svg;
    const [width, height] = [clientWidth / this.#scale, clientHeight / this.#scale];
    this.#svg.setAttribute("viewBox", `${this.#x} ${this.#y} ${width} ${height}`);
    this.#svg.dataset.level =
      this.#scale < Viewport.#TITLES ? "far" : this.#scale < Viewport.#LINES ? "middle" : "near";
    const view = this.#overview.querySelector(".view");
    for (const [name, value] of Object.entries({ x: this.#x, y: this.#y, width, height })) {
      view.setAttribute(name, value);
    }
  }

  /* As wide as the drawing's shape asks for, within limits. */
  #sizeOverview() {
    const { width, height } = this.#whole;
    const wanted = (this.#svg.clientHeight * width) / height;
    this.#overview.style.width = `${Math.min(Math.max(wanted, 72), 180)}px`;
  }

  #listen() {
    this.#svg.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE;
        const pixels = event.deltaY * (lines ? 16 : 1) * (event.ctrlKey ? 4 : 1);
        this.zoom(Math.exp(-0.0015 * pixels), event.clientX, event.clientY);
      },
      { passive: false },
    );
    this.#drag();
    this.#overview.addEventListener("pointerdown", (event) => {
      this.#overview.setPointerCapture(event.pointerId);
      this.#jump(event);
    });
    this.#overview.addEventListener("pointermove", (event) => {
      if (event.buttons) {
        this.#jump(event);
      }
    });
    let known = this.#svg.clientWidth;
    new ResizeObserver(() => {
      // What is in the middle stays there.
      this.#x += (known - this.#svg.clientWidth) / this.#scale / 2;
      known = this.#svg.clientWidth;
      this.#show();
    }).observe(this.#svg);
    addEventListener("beforeprint", () => {
      const { x, y, width, height } = this.#whole;
      this.#svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    });
    addEventListener("afterprint", () => this.#show());
  }

  /* A few pixels of movement are a click yet. */
  #drag() {
    let start = null;
    this.#svg.addEventListener("pointerdown", (event) => {
      start = { x: event.clientX, y: event.clientY, left: this.#x, top: this.#y, moved: false };
    });
    this.#svg.addEventListener("pointermove", (event) => {
      if (!start || !event.buttons) {
        return;
      }
      const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
      if (!start.moved && Math.hypot(dx, dy) > 4) {
        start.moved = true;
        this.#svg.setPointerCapture(event.pointerId);
        this.#svg.classList.add("dragged");
      }
      if (start.moved) {
        this.#x = start.left - dx / this.#scale;
        this.#y = start.top - dy / this.#scale;
        this.#show();
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.#svg.addEventListener(end, () => {
        start = null;
        this.#svg.classList.remove("dragged");
      });
    }
  }

  #jump(event) {
    const { left, top, width, height } = this.#overview.getBoundingClientRect();
    const whole = this.#whole;
    this.#centre(
      whole.x + ((event.clientX - left) / width) * whole.width,
      whole.y + ((event.clientY - top) / height) * whole.height,
    );
  }
}
