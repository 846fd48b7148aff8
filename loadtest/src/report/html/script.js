// Shows each chart's figures where the pointer is. Without it the page lacks only that: the tables
// behind the charts hold the figures, too.
"use strict";
const plain = (value) => {
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
};
const units = {
  plain,
  ms: (v) => (v >= 1000 ? `${plain(v / 1000)} s` : `${plain(v)} ms`),
  rate: (v) => `${plain(v)}/s`,
  cores: (v) => (v < 0.1 ? v.toLocaleString("en", { maximumFractionDigits: 3 }) : plain(v)),
  bytes: (v) => {
    const [each, unit] = v >= 2 ** 30 ? [2 ** 30, "GiB"] : v >= 2 ** 20 ? [2 ** 20, "MiB"] : [2 ** 10, "KiB"];
    return `${plain(v / each)} ${unit}`;
  },
};
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const { places, labels, lines, unit, width } = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector(".plot > svg");
  const tip = figure.querySelector(".tip");
  const cursor = svg.querySelector(".cursor");
  const hide = () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };
  const row = ({ name, color, values }, place) => {
    const line = document.createElement("span");
    const label = document.createElement("em");
    const swatch = document.createElement("i");
    swatch.style.background = `var(--c${color})`;
    label.style.fontStyle = "normal";
    label.append(swatch, name);
    line.append(label, units[unit](values[place]));
    return line;
  };
  const show = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) * width) / box.width;
    let place = 0;
    places.forEach((x, n) => {
      if (Math.abs(x - at) < Math.abs(places[place] - at)) place = n;
    });
    const known = lines.filter((line) => line.values[place] != null);
    if (!known.length || Math.abs(places[place] - at) > 24) return hide();
    const head = document.createElement("b");
    head.textContent = labels[place];
    tip.replaceChildren(head, ...known.map((line) => row(line, place)));
    tip.hidden = false;
    cursor.setAttribute("transform", `translate(${places[place]} 0)`);
    cursor.setAttribute("visibility", "visible");
    const x = (places[place] * box.width) / width;
    tip.style.left = `${x + 14 + tip.offsetWidth < box.width ? x + 14 : x - 14 - tip.offsetWidth}px`;
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", hide);
}
