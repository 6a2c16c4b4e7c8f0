/* Tips: what `data-tip` of an element says, beside the pointer that is over it. */

{
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);

  const place = (event) => {
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - width - 8);
    const below = event.clientY + 14;
    const top = below + height > innerHeight ? event.clientY - height - 10 : below;
    tip.style.left = `${Math.max(left, 8)}px`;
    tip.style.top = `${Math.max(top, 8)}px`;
  };

  document.addEventListener("pointermove", (event) => {
    const told = event.target.closest?.("[data-tip]");
    tip.hidden = !told;
    if (told) {
      tip.textContent = told.dataset.tip;
      place(event);
    }
  });
  document.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
}
