"use strict";
(() => {
  const { tasks, edges, drawings } = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const svgs = [...document.querySelectorAll(".drawing")];
  const panel = element("panel"), search = element("search"), found = element("found"), unfold = element("unfold");

  // The graph: for each task its edges, as [other task, parameter].
  const upstreams = tasks.map(() => []), downstreams = tasks.map(() => []);
  for (const [from, to, parameter] of edges) {
    upstreams[to].push([from, parameter]);
    downstreams[from].push([to, parameter]);
  }
  const reach = (starts, next) => {
    const seen = new Set(), waiting = [...starts];
    while (waiting.length) {
      for (const [other] of next[waiting.pop()]) {
        if (!seen.has(other)) { seen.add(other); waiting.push(other); }
      }
    }
    return seen;
  };

  // The drawings: a unit is what one box, stack or block stands for.
  for (const drawing of drawings) {
    drawing.unitOf = new Map(drawing.units.flatMap((members, unit) => members.map((task) => [task, unit])));
  }
  svgs.forEach((svg, place) => {
    const drawing = drawings[place];
    drawing.svg = svg;
    drawing.whole = { w: Number(svg.dataset.width), h: Number(svg.dataset.height) };
    drawing.boxes = [...svg.querySelectorAll(".gf-task")];
    drawing.lines = [...svg.querySelectorAll(".gf-edge")];
    drawing.ends = [...svg.querySelectorAll(".gf-end")];
    drawing.tasksOf = new Map(drawing.boxes.map(
      (box) => [box, box.dataset.task === undefined ? drawing.units[box.dataset.unit] : [Number(box.dataset.task)]]));
    drawing.boxOf = new Map(drawing.boxes.flatMap((box) => drawing.tasksOf.get(box).map((task) => [task, box])));
  });
  const stage = document.querySelector(".stage");
  const READABLE = 0.6, CLOSEST = 1.25;
  let shown = 0;
  let selected = []; // tasks: none, one, or all that a stack stands for

  // ── view ──
  const view = { x: 0, y: 0, scale: 1 }; // scale: screen pixels for a pixel of the drawing
  const current = () => drawings[shown];
  const size = () => ({ w: current().svg.clientWidth || 1, h: current().svg.clientHeight || 1 });
  const apply = () => {
    const { w, h } = size();
    current().svg.setAttribute("viewBox", `${view.x} ${view.y} ${w / view.scale} ${h / view.scale}`);
  };
  const fitting = () => {
    const { w, h } = size(), whole = current().whole;
    return Math.min(w / whole.w, h / whole.h, CLOSEST);
  };
  const centre = (x, y) => {
    const { w, h } = size();
    view.x = x - w / view.scale / 2;
    view.y = y - h / view.scale / 2;
    apply();
  };
  const fit = () => {
    view.scale = fitting();
    centre(current().whole.w / 2, current().whole.h / 2);
  };
  // At first: all of it, unless that could not be read; then its start.
  const open = () => {
    const { w } = size(), whole = current().whole;
    const height = Math.min(whole.h * Math.max(READABLE, Math.min(w / whole.w, CLOSEST)) + 60, window.innerHeight * 0.74);
    stage.style.height = `${Math.max(360, Math.min(height, 900))}px`;
    fit();
    if (view.scale >= READABLE) return;
    view.scale = Math.max(READABLE, Math.min(0.9, size().h / whole.h));
    centre(Math.min(whole.w, w / view.scale) / 2, Math.max(whole.h / 2, 0));
  };
  const zoom = (factor, at) => {
    const { w, h } = size(), point = at || { x: w / 2, y: h / 2 };
    const scale = Math.min(4, Math.max(Math.min(fitting(), 0.1) / 2, view.scale * factor));
    view.x += point.x / view.scale - point.x / scale;
    view.y += point.y / view.scale - point.y / scale;
    view.scale = scale;
    apply();
  };
  const around = (boxes) => {
    const all = boxes.map((box) => box.getBBox());
    const x = Math.min(...all.map((at) => at.x)), y = Math.min(...all.map((at) => at.y));
    const right = Math.max(...all.map((at) => at.x + at.width)), bottom = Math.max(...all.map((at) => at.y + at.height));
    return { x, y, width: right - x, height: bottom - y };
  };
  const reveal = (boxes) => {
    const { w, h } = size(), at = around(boxes);
    if (boxes.length > 1) {
      // all of them, or as many as can be read, from the first one on
      view.scale = Math.max(READABLE, Math.min(w / (at.width + 80), h / (at.height + 80), CLOSEST));
      view.x = at.width + 80 > w / view.scale ? at.x - 40 : at.x + (at.width - w / view.scale) / 2;
      view.y = at.height + 80 > h / view.scale ? at.y - 40 : at.y + (at.height - h / view.scale) / 2;
      apply();
      return;
    }
    const x = at.x + at.width / 2, y = at.y + at.height / 2;
    const readable = view.scale >= READABLE;
    if (!readable) view.scale = 0.8;
    const left = view.x + 40 / view.scale, right = view.x + (w - 40) / view.scale;
    const top = view.y + 40 / view.scale, bottom = view.y + (h - 40) / view.scale;
    if (!readable || at.x < left || at.x + at.width > right || at.y < top || at.y + at.height > bottom) centre(x, y);
  };

  // ── selection ──
  const boxOf = (task) => current().boxOf.get(task);
  const mark = () => {
    document.body.classList.toggle("has-selection", selected.length > 0);
    const chosen = new Set(selected);
    const up = reach(selected, upstreams), down = reach(selected, downstreams);
    const { boxes, lines, ends, tasksOf } = current();
    const unitsWith = (set) => new Set([...set].map((task) => current().unitOf.get(task)));
    const upUnits = unitsWith([...up, ...chosen]), downUnits = unitsWith([...down, ...chosen]);
    const between = (set, line) => selected.length > 0 && set.has(Number(line.dataset.from)) && set.has(Number(line.dataset.to));
    for (const box of boxes) {
      const own = tasksOf.get(box);
      box.classList.toggle("is-selected", own.some((task) => chosen.has(task)));
      box.classList.toggle("is-up", own.some((task) => up.has(task)));
      box.classList.toggle("is-down", own.some((task) => down.has(task)));
    }
    const reached = { up: new Set(), down: new Set() };
    for (const line of lines) {
      const isUp = between(upUnits, line), isDown = between(downUnits, line);
      line.classList.toggle("is-up", isUp);
      line.classList.toggle("is-down", isDown);
      if (isUp) reached.up.add(line.dataset.end);
      if (isDown) reached.down.add(line.dataset.end);
    }
    for (const end of ends) {
      end.classList.toggle("is-up", reached.up.has(end.dataset.end));
      end.classList.toggle("is-down", reached.down.has(end.dataset.end));
    }
  };
  const select = (chosen, { move = true } = {}) => {
    selected = chosen;
    describe();
    mark();
    if (selected.length && move) {
      reveal([...new Set(selected.map(boxOf))]);
    }
  };

  // ── panel ──
  const make = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const list = (title, ends) => {
    if (!ends.length) return [];
    const items = make("ul");
    for (const [task, parameter] of ends) {
      const item = make("li"), button = make("button", tasks[task].id, { type: "button" });
      button.addEventListener("click", () => { select([task]); });
      item.append(button);
      if (parameter !== undefined) item.append(make("span", parameter ? ` ${parameter}` : " order only"));
      items.append(item);
    }
    return [make("h3", `${title} (${ends.length})`), items];
  };
  const facts = (pairs) => {
    const made = make("dl");
    for (const [name, value, code] of pairs) {
      if (value === "") continue;
      const entry = make("dd");
      entry.append(code ? make("code", value) : value);
      made.append(make("dt", name), entry);
    }
    return made;
  };
  const describe = () => {
    panel.hidden = selected.length === 0;
    panel.replaceChildren();
    if (!selected.length) return;
    const close = make("button", "×", { type: "button", class: "close", "aria-label": "Clear the selection" });
    close.addEventListener("click", () => { select([]); current().svg.focus(); });
    panel.append(close, ...(selected.length === 1 ? aboutTask(selected[0]) : aboutStack()));
  };
  const aboutTask = (task) => {
    const { id, detail, source, level, fared, critical, kind, condition, reason } = tasks[task];
    return [
      make("h2", id),
      facts([
        ["", kind],
        ["Signature", detail, true],
        ["Defined in", source, true],
        ["Runs", condition, true],
        ["Run", fared],
        ["Because", reason],
        ["Level", String(level)],
        ["", critical ? "On the critical path." : ""],
        ["Before it, in all", String(reach([task], upstreams).size)],
        ["After it, in all", String(reach([task], downstreams).size)],
      ]),
      ...list("Upstream", upstreams[task]),
      ...list("Downstream", downstreams[task]),
    ];
  };
  const aboutStack = () => {
    const label = current().labels[current().unitOf.get(selected[0])];
    const parts = [make("h2", label), facts([["Signature", tasks[selected[0]].detail, true]])];
    if (!unfold.hidden) {
      const button = make("button", "Show them in the picture", { type: "button" });
      button.addEventListener("click", () => { const members = selected; show(1); select(members); });
      parts.push(button);
    }
    return [...parts, ...list("Tasks", selected.map((task) => [task]))];
  };

  // ── folding ──
  const show = (place) => {
    shown = place;
    svgs.forEach((svg, at) => { svg.toggleAttribute("hidden", at !== place); });
    unfold.setAttribute("aria-pressed", String(place === 1));
    open();
    mark();
  };
  unfold.addEventListener("click", () => {
    show(1 - shown);
    if (selected.length) select(selected);
  });

  // ── search ──
  let matches = [], active = -1;
  const closeList = () => {
    found.hidden = true;
    search.setAttribute("aria-expanded", "false");
    search.removeAttribute("aria-activedescendant");
    active = -1;
  };
  const highlight = (place) => {
    active = place;
    [...found.children].forEach((item, at) => { item.setAttribute("aria-selected", String(at === place)); });
    const item = found.children[place];
    if (!item || !matches.length) return;
    search.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  };
  const pick = (task) => {
    search.value = tasks[task].id;
    closeList();
    select([task]);
  };
  const find = () => {
    const text = search.value.trim().toLowerCase();
    if (!text) { closeList(); return; }
    const hits = tasks.flatMap((task, at) => (!task.gate && task.id.toLowerCase().includes(text) ? [at] : []));
    const rank = (at) => { const id = tasks[at].id.toLowerCase(); return id === text ? 0 : id.startsWith(text) ? 1 : 2; };
    hits.sort((a, b) => rank(a) - rank(b) || a - b);
    matches = hits.slice(0, 50);
    found.replaceChildren(...matches.map((task, at) => {
      const item = make("li", tasks[task].id, { role: "option", id: `found-${at}`, "aria-selected": "false" });
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); pick(task); });
      return item;
    }));
    if (!matches.length) found.append(make("li", "No task with this in its id", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }));
    if (hits.length > matches.length) found.append(make("li", `and ${hits.length - matches.length} more`, { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }));
    found.hidden = false;
    search.setAttribute("aria-expanded", "true");
    highlight(matches.length ? 0 : -1);
  };
  search.addEventListener("input", find);
  search.addEventListener("focus", () => { search.select(); });
  search.addEventListener("blur", closeList);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { closeList(); search.value = ""; return; }
    if (found.hidden || !matches.length) return;
    if (event.key === "ArrowDown") highlight((active + 1) % matches.length);
    else if (event.key === "ArrowUp") highlight((active + matches.length - 1) % matches.length);
    else if (event.key === "Enter") { pick(matches[Math.max(active, 0)]); current().svg.focus(); }
    else return;
    event.preventDefault();
  });

  // ── pointer ──
  for (const svg of svgs) {
    let grip = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0) grip = { x: event.clientX, y: event.clientY, moved: false };
    });
    svg.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const dx = event.clientX - grip.x, dy = event.clientY - grip.y;
      if (!grip.moved && Math.hypot(dx, dy) < 4) return;
      if (!grip.moved) svg.setPointerCapture(event.pointerId);
      svg.classList.add("is-moving");
      Object.assign(grip, { x: event.clientX, y: event.clientY, moved: true });
      view.x -= dx / view.scale;
      view.y -= dy / view.scale;
      apply();
    });
    const release = (event) => {
      if (grip && !grip.moved && event.type === "pointerup") {
        const box = event.target.closest(".gf-task");
        if (box) select(current().tasksOf.get(box), { move: false });
        else select([]);
      }
      grip = null;
      svg.classList.remove("is-moving");
    };
    svg.addEventListener("pointerup", release);
    svg.addEventListener("pointercancel", release);
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls the page, as everywhere
      event.preventDefault();
      const at = svg.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY * 0.003), { x: event.clientX - at.left, y: event.clientY - at.top });
    }, { passive: false });
    svg.addEventListener("keydown", (event) => {
      const keys = { "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit, Escape: () => select([]) };
      const action = keys[event.key] || (event.key.startsWith("Arrow") && (() => follow(event.key)));
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action();
    });
  }
  const follow = (key) => {
    if (!selected.length) { select([0]); return; }
    const task = selected[0];
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const ends = (key === "ArrowRight" ? downstreams : upstreams)[task];
      if (ends.length) select([ends[0][0]]);
      return;
    }
    const level = tasks.flatMap((other, at) => (other.level === tasks[task].level && other.gate === tasks[task].gate ? [at] : []));
    const height = (at) => { const box = boxOf(at).getBBox(); return box.y * 1e6 + box.x; };
    level.sort((a, b) => height(a) - height(b) || a - b);
    const next = level[level.indexOf(task) + (key === "ArrowDown" ? 1 : -1)];
    if (next !== undefined) select([next]);
  };

  // ── the rest ──
  element("closer").addEventListener("click", () => zoom(1.25));
  element("farther").addEventListener("click", () => zoom(0.8));
  element("fit").addEventListener("click", fit);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea")) { event.preventDefault(); search.focus(); }
  });
  document.querySelector("tbody").addEventListener("click", (event) => {
    const link = event.target.closest("a[data-task]");
    if (link) select([Number(link.dataset.task)]);
  });
  new ResizeObserver(apply).observe(document.querySelector(".canvas"));
  open();
  document.body.dataset.ready = "yes";
})();
