"use strict";
(() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const one = (root, selector) => root.querySelector(selector);
  const read = (node) => (node ? JSON.parse(node.textContent) : []);

  // Tables: a column's button sorts, and once more turns the order round. Empty cells stay last.
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  for (const table of all(document, "table.sortable")) {
    const heads = all(table, "thead th");
    heads.forEach((head, place) => {
      one(head, "button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const numeric = head.dataset.kind === "number";
        const key = (row) => {
          const cell = row.cells[place];
          const text = cell.dataset.v ?? cell.textContent;
          return numeric ? (text === "" ? NaN : Number(text)) : text;
        };
        const empty = (value) => (numeric ? Number.isNaN(value) : value === "");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(([first], [second]) => {
          if (empty(first) || empty(second)) return empty(first) - empty(second);
          return (numeric ? first - second : collator.compare(first, second)) * (down ? -1 : 1);
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  // Methods side by side.
  for (const box of all(document, ".methods input")) {
    const shown = () => {
      one(box.closest(".case"), `[data-view="${box.value}"]`).hidden = !box.checked;
    };
    box.addEventListener("change", shown);
    shown();
  }

  const does = ["supports the answer", "suppresses the answer", "no effect to speak of"];
  const figure = (text) => text.replace(/^-/, "\u2212");
  const size = ([, , , , , effect]) => Math.abs(Number((effect ?? "0").replaceAll(",", "")));
  const inWords = ([name, box, role, chosen, draws, effect, low, high], unit) => {
    const parts = [`Region ${name}:`];
    parts.push(effect === null ? "no effect measured" : `${figure(effect)} ${unit}`);
    if (low !== null) parts.push(`(95 % interval ${figure(low)} to ${figure(high)})`);
    if (draws !== null) parts.push(`from ${draws} draw${draws === 1 ? "" : "s"};`);
    parts.push(does[role] + (chosen ? ", named by the method." : "."));
    if (box.length === 0) parts.push("It has no place on this picture.");
    return parts.join(" ");
  };

  for (const root of all(document, ".explained")) {
    // A page may hold tens of thousands of regions: each view's are read when somebody looks at it.
    let known = null, order = null;
    const regions = () => (known ??= read(one(root, "script.data")));
    const byStrength = () => (order ??= regions().map((_, at) => at).filter((at) => regions()[at][1].length > 0)
      .sort((a, b) => regions()[b][3] - regions()[a][3] || size(regions()[b]) - size(regions()[a])));
    const readout = one(root, ".readout");
    const viewers = all(root, ".viewer").map((node) => new Viewer(node));
    let stepped = -1;

    const show = (at, moveSlices) => {
      viewers.forEach((viewer) => viewer.mark(at === null ? null : regions()[at][1], moveSlices));
      all(root, "tr.marked").forEach((row) => row.classList.remove("marked"));
      if (at === null) return;
      readout.textContent = inWords(regions()[at], root.dataset.unit);
      one(root, `tr[data-r="${at}"]`)?.classList.add("marked");
    };
    const step = (by) => {
      const places = byStrength();
      if (places.length === 0) return;
      stepped = stepped < 0 && by < 0 ? places.length - 1 : (stepped + by + places.length) % places.length;
      show(places[stepped], true);
    };

    for (const viewer of viewers) {
      viewer.stage.addEventListener("pointermove", (event) => {
        if (regions().length === 0 || viewer.dragging) return;
        const at = viewer.regionAt(event, regions());
        show(at, false);
        stepped = at === null ? stepped : byStrength().indexOf(at);
      });
      viewer.stage.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
        else if (!viewer.key(event.key)) return;
        event.preventDefault();
      });
    }
    one(root, ".next")?.addEventListener("click", () => step(1));
    one(root, ".previous")?.addEventListener("click", () => step(-1));
    one(root, ".closer")?.addEventListener("click", () => viewers.forEach((viewer) => viewer.zoom(1.5)));
    one(root, ".farther")?.addEventListener("click", () => viewers.forEach((viewer) => viewer.zoom(1 / 1.5)));
    one(root, ".reset")?.addEventListener("click", () => viewers.forEach((viewer) => viewer.reset()));
    const opacity = one(root, ".opacity");
    opacity?.addEventListener("input", () => viewers.forEach((viewer) => viewer.fade(opacity.value / 100)));
    for (const row of all(root, "tr[data-r]")) {
      row.addEventListener("pointerenter", () => show(Number(row.dataset.r), false));
      row.addEventListener("click", () => show(Number(row.dataset.r), true));
    }
  }

  function Viewer(node) {
    const stage = one(node, ".stage"), canvas = one(node, ".canvas"), svg = one(node, "svg");
    const base = one(node, ".base"), map = one(node, ".map"), mark = one(node, ".mark");
    const slider = one(node, ".slice"), output = one(node, "output");
    const blank = base.classList.contains("blank") ? base.src : "";
    const [down, across] = node.dataset.axes.split(" ").map(Number);
    const through = node.dataset.through === "" ? null : Number(node.dataset.through);
    const stack = read(one(node, "script.stack"));
    let scale = 1, left = 0, top = 0, marked = null;
    this.stage = stage;
    this.dragging = false;

    const place = () => {
      left = Math.min(0, Math.max(stage.clientWidth * (1 - scale), left));
      top = Math.min(0, Math.max(canvas.offsetHeight * (1 - scale), top));
      canvas.style.transform = scale === 1 ? "" : `translate(${left}px, ${top}px) scale(${scale})`;
      stage.classList.toggle("zoomed", scale > 1);
    };
    this.zoom = (by, x = stage.clientWidth / 2, y = canvas.offsetHeight / 2) => {
      const next = Math.min(12, Math.max(1, scale * by));
      left = x - (x - left) * (next / scale);
      top = y - (y - top) * (next / scale);
      scale = next;
      place();
    };
    this.reset = () => { scale = 1; place(); };
    this.fade = (value) => { map.style.opacity = value; };
    this.key = (key) => {
      const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
      if (key === "+" || key === "=") this.zoom(1.5);
      else if (key === "-") this.zoom(1 / 1.5);
      else if (key === "0") this.reset();
      else if (moves[key] && scale > 1) { left += moves[key][0]; top += moves[key][1]; place(); }
      else return false;
      return true;
    };

    const index = () => (stack.length > 0 ? stack[Number(slider.value)][0] : 0);
    const draw = () => {
      const seen = marked && (through === null || (marked[2 * through] <= index() && index() < marked[2 * through + 1]));
      const [x, y] = seen ? [marked[2 * across], marked[2 * down]] : [0, 0];
      mark.setAttribute("x", x);
      mark.setAttribute("y", y);
      mark.setAttribute("width", seen ? marked[2 * across + 1] - x : 0);
      mark.setAttribute("height", seen ? marked[2 * down + 1] - y : 0);
      for (const rect of all(svg, "[data-first]")) {
        const here = Number(rect.dataset.first) <= index() && index() < Number(rect.dataset.end);
        rect.setAttribute("visibility", here ? "visible" : "hidden");
      }
    };
    const turn = () => {
      const [number, image, overlay] = stack[Number(slider.value)];
      base.src = image || blank;
      map.hidden = overlay === "";
      if (overlay !== "") map.src = overlay;
      output.value = number;
      slider.setAttribute("aria-valuetext", `slice ${number}`);
      draw();
    };
    slider?.addEventListener("input", turn);
    this.mark = (box, moveSlices) => {
      marked = box && box.length > Math.max(2 * down, 2 * across) ? box : null;
      if (marked && moveSlices && stack.length > 0) {
        const middle = (marked[2 * through] + marked[2 * through + 1] - 1) / 2;
        const distances = stack.map(([number]) => Math.abs(number - middle));
        slider.value = distances.indexOf(Math.min(...distances));
        turn();
      }
      draw();
    };
    this.regionAt = (event, regions) => {
      const frame = canvas.getBoundingClientRect(), sheet = svg.viewBox.baseVal;
      const x = (event.clientX - frame.left) / frame.width * sheet.width;
      const y = (event.clientY - frame.top) / frame.height * sheet.height;
      let found = null, least = Infinity;
      regions.forEach(([, box], at) => {
        if (box.length === 0) return;
        if (through !== null && !(box[2 * through] <= index() && index() < box[2 * through + 1])) return;
        if (!(box[2 * down] <= y && y < box[2 * down + 1] && box[2 * across] <= x && x < box[2 * across + 1])) return;
        const area = (box[2 * down + 1] - box[2 * down]) * (box[2 * across + 1] - box[2 * across]);
        if (area < least) [found, least] = [at, area];
      });
      return found;
    };

    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && scale === 1) return;
      event.preventDefault();
      const frame = stage.getBoundingClientRect();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - frame.left, event.clientY - frame.top);
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      const frame = stage.getBoundingClientRect();
      this.zoom(2, event.clientX - frame.left, event.clientY - frame.top);
    });
    stage.addEventListener("pointerdown", (event) => {
      if (scale === 1) return;
      this.dragging = true;
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!this.dragging) return;
      left += event.movementX;
      top += event.movementY;
      place();
    });
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { this.dragging = false; });
  }

  // Pictures: enlarged in a dialog that Escape closes.
  const dialog = document.getElementById("enlarged");
  for (const button of all(document, ".enlarge")) {
    button.addEventListener("click", () => {
      one(dialog, ".full").replaceChildren(one(button, "img").cloneNode());
      dialog.showModal();
    });
  }

  // A printed page shows what is folded away on a screen, but for the long records.
  addEventListener("beforeprint", () => {
    all(document, "details:has(table)").forEach((node) => { node.open = true; });
    all(document, "img[loading=lazy]").forEach((node) => { node.loading = "eager"; });
  });
})();
