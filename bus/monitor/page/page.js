// Keeps the page up to date: the server sends the same texts that the page was made of.
import { follow, make } from "./webpage.js";

const shown = new Map(); // sections as they were last sent, by id

function trend(points) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", points);
  svg.append(line);
  return svg;
}

function showSection(section) {
  const text = JSON.stringify(section);
  if (shown.get(section.id) === text) return; // what a reader has selected in it stays selected
  shown.set(section.id, text);
  const element = document.getElementById(section.id);
  if (!element) return;
  element.querySelector("tbody").replaceChildren(...section.rows.map((row) => {
    const tr = make("tr");
    tr.dataset.key = row.key;
    row.cells.forEach((cell, i) => {
      const column = section.columns[i];
      const td = make("td", `${cell.class || ""}${column.number ? " number" : ""}`, cell.text);
      td.dataset.label = column.name;
      if (cell.trend) td.append(trend(cell.trend));
      tr.append(td);
    });
    return tr;
  }));
  element.querySelector(".rest").textContent = section.rows.length ? section.omitted : section.empty;
}

const lost = document.getElementById("lost");

follow(() => "events", {
  open: () => { lost.hidden = true; },
  lost: () => { lost.hidden = false; },
  view: (data) => {
    const view = JSON.parse(data);
    const state = document.getElementById("state");
    state.textContent = view.state.text;
    state.className = view.state.class;
    document.getElementById("facts").textContent = view.facts;
    view.sections.forEach(showSection);
  },
});
