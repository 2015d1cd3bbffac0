// A table whose rows can be picked by mouse or keyboard. Text nodes only: what stands in the data can never become markup.
const CSS = `
.box{overflow:auto;border-radius:6px;scrollbar-width:thin;outline-offset:-2px}
table{border-collapse:separate;border-spacing:0;width:100%;font:13px/1.35 var(--wb-font,Roboto,sans-serif);color:var(--mui-palette-text-primary,#17212f);font-variant-numeric:tabular-nums}
th{position:sticky;top:0;z-index:1;background:var(--mui-palette-background-paper,#fff);text-align:left;font-weight:700;font-size:11.5px;letter-spacing:.02em;
color:var(--mui-palette-text-secondary,#5a6778);padding:6px 8px;border-bottom:1px solid var(--mui-palette-divider,#dde3ea);white-space:nowrap}
th button{all:unset;cursor:pointer}th button:focus-visible{outline:2px solid var(--mui-palette-primary-main,#16325c);outline-offset:2px;border-radius:2px}
td{padding:6px 8px;border-bottom:1px solid color-mix(in srgb,var(--mui-palette-divider,#dde3ea) 60%,transparent);vertical-align:top}
td.num,th.num{text-align:right}td.wide{min-width:220px}td.short,td.bars{white-space:nowrap}
tbody tr{cursor:pointer}tbody tr:hover td{background:color-mix(in srgb,var(--mui-palette-primary-main,#16325c) 6%,transparent)}
tbody tr[aria-selected=true] td{background:color-mix(in srgb,var(--mui-palette-primary-main,#16325c) 15%,transparent)}
tbody tr[aria-selected=true] td:first-child{box-shadow:inset 3px 0 0 var(--mui-palette-primary-main,#16325c)}
tbody tr:focus{outline:none}tbody tr:focus-visible td{box-shadow:inset 0 2px 0 var(--mui-palette-primary-main,#16325c),inset 0 -2px 0 var(--mui-palette-primary-main,#16325c)}
.none{padding:18px 12px;color:var(--mui-palette-text-secondary,#5a6778);font:14px/1.4 var(--wb-font,Roboto,sans-serif)}
.bar{display:inline-block;height:8px;border-radius:4px;background:var(--mui-palette-primary-main,#16325c);opacity:.65;margin-right:8px;vertical-align:middle}
`;

function render({ model, el }) {
  const get = (name) => model.get(name);
  const set = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const style = document.createElement("style");
  style.textContent = CSS;
  const box = document.createElement("div");
  box.className = "box";
  el.append(style, box);
  let order = null; // {column, down}

  const chosen = () => new Set(get("selected") || []);
  const pick = (id) => {
    set({ selected: [id], picked: { id, at: Date.now() } });
    mark(false);
  };
  const mark = (reveal) => {
    const ids = chosen();
    let first = null;
    for (const row of box.querySelectorAll("tbody tr")) {
      const on = ids.has(row.dataset.id);
      row.setAttribute("aria-selected", on ? "true" : "false");
      if (on && !first) first = row;
    }
    if (first && reveal) {
      const top = first.offsetTop - 34, bottom = first.offsetTop + first.offsetHeight;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
    }
  };
  const keys = (event, row) => {
    const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: row.parentNode.firstElementChild, End: row.parentNode.lastElementChild }[event.key];
    if (to) {
      event.preventDefault();
      row.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(row.dataset.id);
    }
  };
  const sorted = () => {
    const rows = [...((get("content") || {}).rows || [])];
    if (!order) return rows;
    const at = order.column, sign = order.down ? -1 : 1;
    const number = (v) => (typeof v === "number" ? v : v && typeof v === "object" ? v.value : NaN);
    return rows.sort((a, b) => {
      const x = a.cells[at], y = b.cells[at], m = number(x), n = number(y);
      return sign * (Number.isNaN(m) || Number.isNaN(n) ? String(x).localeCompare(String(y), undefined, { numeric: true }) : m - n);
    });
  };
  const cell = (value, kind) => {
    const td = document.createElement("td");
    td.className = kind;
    if (value && typeof value === "object") {
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.style.width = `${Math.max(2, Math.min(1, value.share || 0) * 48)}px`;
      td.append(bar, value.text ?? "");
    } else td.textContent = value ?? "";
    return td;
  };
  const draw = () => {
    box.replaceChildren();
    box.style.maxHeight = `${get("height_px")}px`;
    const rows = sorted();
    if (!rows.length) {
      const none = document.createElement("div");
      none.className = "none";
      none.setAttribute("role", "status");
      none.textContent = get("empty");
      box.append(none);
      return;
    }
    const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    table.setAttribute("aria-label", get("label"));
    ((get("content") || {}).columns || []).forEach((column, i) => {
      const th = document.createElement("th"), button = document.createElement("button");
      th.className = column.kind;
      th.scope = "col";
      button.textContent = column.title + (order && order.column === i ? (order.down ? " \u2193" : " \u2191") : "");
      button.tabIndex = 0;
      button.title = column.help || "Sort by this column";
      const sort = () => { order = { column: i, down: order && order.column === i ? !order.down : column.kind === "num" }; draw(); };
      button.onclick = sort;
      button.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sort(); } };
      button.setAttribute("role", "button");
      th.append(button);
      head.append(th);
    });
    rows.forEach((row, i) => {
      const tr = body.insertRow();
      tr.dataset.id = row.id;
      tr.tabIndex = i ? -1 : 0;
      row.cells.forEach((value, c) => tr.append(cell(value, (get("content").columns[c] || {}).kind || "")));
      tr.onclick = () => pick(row.id);
      tr.onkeydown = (e) => keys(e, tr);
    });
    box.append(table);
    mark(false);
  };
  draw();
  const events = { content: () => { order = null; draw(); }, selected: () => mark(true), empty: draw };
  for (const [name, act] of Object.entries(events)) model.on(`change:${name}`, act);
  return () => {
    for (const [name, act] of Object.entries(events)) model.off(`change:${name}`, act);
    box.remove();
    style.remove();
  };
}

export default { render };
