// Small things both widgets need: elements made of text nodes only, the scheme as CSS variables, waiting for a size.
export function make(tag, cls, ...children) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  node.append(...children.filter(c => c !== null && c !== undefined));
  return node;
}

export function button(label, title, act) {
  const node = make("button", "wb-button", label);
  node.type = "button"; node.title = title; node.setAttribute("aria-label", title);
  node.addEventListener("click", e => { e.stopPropagation(); act(); });
  return node;
}

/** The icon of a kind, white or coloured, as an <svg> built without any markup text. */
export function icon(path, colour, size = 12) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), shape = document.createElementNS(ns, "path");
  svg.setAttribute("viewBox", "0 0 24 24"); svg.setAttribute("width", size); svg.setAttribute("height", size); svg.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", path); shape.setAttribute("fill", colour); shape.setAttribute("fill-rule", "evenodd");
  svg.append(shape);
  return svg;
}

/** Dark or light: what Python says, else what the page around looks like. */
export function isDark(model) {
  const said = model.get("dark");
  if (said === true || said === false) return said;
  const root = document.documentElement, body = document.body;
  if (body?.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  return ["mui-dark", "dark"].some(c => root.classList.contains(c) || body?.classList.contains(c)) || root.dataset.theme === "dark" || body?.dataset.theme === "dark";
}

/** Calls back whenever the page around may have changed its scheme; returns the way to stop. */
export function onScheme(act) {
  const watch = new MutationObserver(act), options = { attributes: true, attributeFilter: ["class", "data-theme", "data-jp-theme-light"] };
  watch.observe(document.documentElement, options);
  if (document.body) watch.observe(document.body, options);
  return () => watch.disconnect();
}

export function paintScheme(box, colours, font) {
  for (const [name, value] of Object.entries(colours)) box.style.setProperty("--" + name.replaceAll("_", "-"), value);
  box.style.setProperty("--font", font);
}

/** Tells Python a value; the same one again goes by way of "" (a little apart, or the host would fold both into nothing). */
export function tell(model, name, value) {
  const send = v => { model.set(name, v); model.save_changes(); };
  if (!value || model.get(name) !== value) { send(value); return; }
  send("");
  setTimeout(() => send(value), 160);
}

/** Calls `first` once the element has a size, `later` whenever the size changes after that; returns the way to stop. */
export function whenSized(node, first, later) {
  let ready = false;
  const watch = new ResizeObserver(() => {
    if (!node.clientWidth || !node.clientHeight) return;
    if (ready) later(); else { ready = true; first(); }
  });
  watch.observe(node);
  return () => watch.disconnect();
}

/** A tooltip that follows the pointer; its text is only ever text. */
export function tooltip(box) {
  const tip = make("div", "wb-tip");
  tip.setAttribute("role", "status");
  box.append(tip);
  return {
    show(text, x, y) {
      tip.textContent = text;
      const w = tip.offsetWidth, h = tip.offsetHeight, left = x + 16 + w > box.clientWidth ? x - w - 12 : x + 16, top = y + 16 + h > box.clientHeight ? y - h - 10 : y + 16;
      tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`; tip.style.visibility = text ? "visible" : "hidden";
    },
    hide() { tip.style.visibility = "hidden"; },
  };
}
