"use strict";
(() => {
  const SVG = "http" + "://www.w3.org/2000/svg";
  const tip = document.getElementById("tip");
  const make = (parent, name, attributes) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    parent.appendChild(node);
    return node;
  };
  const small = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const show = (value) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e6) return String(value).replace("-", "−");
    if (size >= 1e-3 && size < 1e6) return (size < 100 ? value.toPrecision(3) : value.toFixed(size < 1e3 ? 1 : 0)).replace("-", "−");
    const [mantissa, exponent] = value.toExponential(2).split("e");
    const raised = exponent.replace("+", "").replace("-", "⁻").replace(/\d/g, (d) => small[d]);
    return (mantissa + "×10" + raised).replace("-", "−");
  };

  for (const scope of document.querySelectorAll(".scope")) {
    const labels = new Map();
    const off = new Set();
    for (const button of scope.querySelectorAll(".legend button")) {
      const key = button.dataset.key;
      labels.set(Number(key), [button.textContent.trim(), button.classList[0]]);
      button.addEventListener("click", () => {
        const on = off.has(Number(key));
        if (on) off.delete(Number(key)); else off.add(Number(key));
        button.setAttribute("aria-pressed", String(on));
        for (const node of scope.querySelectorAll(`[data-s="${key}"]`)) node.classList.toggle("off", !on);
      });
    }
    for (const chart of scope.querySelectorAll(".chart")) hover(chart, labels, off);
  }

  function hover(chart, labels, off) {
    const [[x0, x1, first, last, width], [y0, y1, low, high, log, height], generations, lines, real] = JSON.parse(chart.dataset.chart);
    const layer = chart.querySelector(".hover");
    const x = (t) => x0 + ((t - first) / (last - first)) * (x1 - x0);
    const share = (v) => (log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
    const y = (v) => y0 + share(v) * (y1 - y0);
    let shown = -1;

    const hide = () => { layer.replaceChildren(); tip.hidden = true; shown = -1; };
    const point = (index) => {
      shown = index;
      layer.replaceChildren();
      const at = x(generations[index]);
      make(layer, "line", { x1: at, x2: at, y1: y1, y2: y0 });
      const rows = [];
      for (const [style, values] of lines) {
        const found = values[index];
        if (!found || off.has(style)) continue;
        const [label, colour] = labels.get(style);
        make(layer, "circle", { cx: at, cy: y(found[0]), r: 4, class: colour });
        const range = found.length > 1 ? `${show(found[1])} to ${show(found[2])}, ${found[3]} seeds` : "";
        rows.push([found[0], label, show(found[0]), range, colour]);
      }
      rows.sort((a, b) => b[0] - a[0]);
      if (real !== null) rows.push([real, "real data", show(real), "", ""]);
      const head = document.createElement("b");
      head.textContent = `Generation ${generations[index]}`;
      const table = document.createElement("table");
      for (const [, label, value, range, colour] of rows) {
        const row = table.insertRow();
        if (colour) row.className = colour;
        for (const text of [label, value, range]) row.insertCell().textContent = text;
      }
      tip.replaceChildren(head, table);
      tip.hidden = false;
      const box = chart.getBoundingClientRect();
      const px = box.left + (at / width) * box.width;
      const size = tip.getBoundingClientRect();
      const room = document.documentElement.clientWidth - 8;
      const beside = px + 16 + size.width < room ? px + 16 : px - 16 - size.width;
      tip.style.left = Math.max(8, Math.min(beside, room - size.width)) + "px";
      const top = box.top + (y1 / height) * box.height;
      tip.style.top = Math.max(8, Math.min(top, window.innerHeight - size.height - 8)) + "px";
    };
    const nearest = (event) => {
      const box = chart.getBoundingClientRect();
      const t = first + ((((event.clientX - box.left) / box.width) * width - x0) / (x1 - x0)) * (last - first);
      let best = 0;
      generations.forEach((g, i) => { if (Math.abs(g - t) < Math.abs(generations[best] - t)) best = i; });
      return best;
    };
    chart.addEventListener("pointermove", (event) => point(nearest(event)));
    chart.addEventListener("pointerdown", (event) => point(nearest(event)));
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const end = generations.length - 1;
      const from = shown < 0 ? (event.key === "ArrowLeft" ? end + 1 : -1) : shown;
      const to = { ArrowLeft: Math.max(0, from - 1), ArrowRight: Math.min(end, from + 1), Home: 0, End: end }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      point(to);
    });
  }
})();
