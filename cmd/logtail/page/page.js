import { follow, make, visible } from "/webpage.js";

const mostRows = 1000; // that the page keeps
const $ = (id) => document.getElementById(id);
const list = $("rows");

// What the page shows. Its query is the page's address, so that an address is a view that can be passed on.
let query = new URLSearchParams();
let stop = () => {}; // ends the events
let latest = 0; // the highest time of a row, in milliseconds since 1970
let offsets = new Map(); // of each partition, that of its last row
let known = new Map(); // the offsets when the connection was lost: rows up to them come again
let paused = false;
let waiting = []; // rows that are not shown yet: for the next frame, or until the pause is over
let skipped = 0; // rows that were left out of waiting
let total = 0;
let notices = [];
let failure = "";
let connected = false;
let drawing = false;

// The settings.

function readForm() {
  const next = new URLSearchParams();
  for (const pattern of $("stream").value.trim().split(/\s+/).filter(Boolean)) next.append("stream", pattern);
  for (const name of ["level", "grep", "since"]) if ($(name).value.trim()) next.set(name, $(name).value.trim());
  for (const name of ["field", "service", "logger", "schema", "key", "exclude"]) {
    for (const value of query.getAll(name)) next.append(name, value);
  }
  for (const name of ["invert", "trace", "lines"]) if (query.has(name)) next.set(name, query.get(name));
  return next;
}

function showForm() {
  $("stream").value = query.getAll("stream").join(" ");
  for (const name of ["grep", "since"]) $(name).value = query.get(name) ?? "";
  const level = query.get("level") ?? "";
  if (![...$("level").options].some((o) => o.value === level)) { // =info, or another way to write one
    const option = make("option", "", level);
    option.value = level;
    $("level").append(option);
  }
  $("level").value = level;
  $("conditions").replaceChildren(...["field", "service", "logger", "schema", "key", "exclude", "trace", "invert"].flatMap((name) =>
    query.getAll(name).map((value) => {
      const text = name === "field" ? value : name === "invert" ? "without what Search finds" : name + " " + value;
      const button = make("button", "", text + " ✕");
      button.title = "Remove this condition";
      button.onclick = () => {
        const others = query.getAll(name).filter((v) => v !== value);
        const next = readForm();
        next.delete(name);
        for (const other of others) next.append(name, other);
        show(next);
      };
      return button;
    })));
}

// show begins anew with these settings.
function show(next) {
  query = next;
  const address = new URLSearchParams(query);
  const record = new URLSearchParams(location.search).get("record");
  if (record && !$("detail").hidden) address.set("record", record);
  history.replaceState(null, "", "/?" + address);
  showForm();
  clear();
  offsets = new Map();
  known = new Map();
  latest = 0;
  failure = "";
  notices = [];
  begin();
}

function addField(condition) {
  const next = readForm();
  if (!next.getAll("field").includes(condition)) next.append("field", condition);
  $("field").value = "";
  show(next);
}

// The rows.

function begin() {
  stop();
  stop = follow(url, {
    row: (data) => add(JSON.parse(data)),
    missed: (n) => add({ gap: `${n} rows missed: they came faster than this page took them` }),
    notice: (text) => {
      notices = [...notices.slice(-2), text];
      draw();
    },
    failed: (text) => {
      failure = text;
      stop();
      draw();
    },
    end: () => {
      stop();
      connected = false;
      draw();
    },
    open: () => {
      connected = true;
      draw();
    },
    lost: () => {
      connected = false;
      known = new Map(offsets);
      draw();
    },
  });
}

// url asks for the rows of the settings, and after a lost connection for those since the last one, with some time for
// records that are late.
function url() {
  const asked = new URLSearchParams(query);
  if (latest) {
    asked.set("since", new Date(latest - 60e3).toISOString());
    asked.delete("lines");
  } else if (asked.has("since") && !asked.has("lines")) {
    asked.set("lines", mostRows);
  }
  return "/api/rows?" + asked;
}

function add(row) {
  if (row.place) {
    const [partition, offset] = row.place.split("@");
    if (Number(offset) <= known.get(partition)) return;
    known.delete(partition);
    offsets.set(partition, Number(offset));
    total++;
    const time = Date.parse(row.time);
    if (time > latest && time <= Date.now()) latest = time;
  }
  waiting.push(row);
  if (waiting.length > mostRows) {
    waiting.shift();
    skipped++;
  }
  draw();
}

// draw brings the page up to date with the next frame.
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!paused) drawRows();
    drawStatus();
  });
}

function drawRows() {
  if (waiting.length === 0) return;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const fresh = waiting.map(rowElement);
  if (skipped > 0) fresh.unshift(make("li", "gap", `${skipped} rows left out: they came faster than this page shows them`));
  waiting = [];
  skipped = 0;
  list.append(...fresh);
  while (list.childElementCount > mostRows) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function rowElement(row) {
  if (row.gap) return make("li", "gap", row.gap);
  const link = make("a", "", localTime(row.time));
  link.href = permalink(row.place);
  link.title = row.place;
  const text = make("span", "text", row.message);
  if (row.fields) text.append(make("span", "fields", (row.message ? "  " : "") + row.fields));
  const item = make("li", row.rank ?? "", link, make("span", "level " + (row.rank ?? "none"), row.level ?? "-"),
    make("span", "stream", row.stream), text);
  item.dataset.place = row.place;
  return item;
}

function permalink(place) {
  const address = new URLSearchParams(query);
  address.set("record", place);
  return "/?" + address;
}

function localTime(text) {
  if (!text) return "-";
  const t = new Date(text);
  if (isNaN(t)) return text;
  const two = (n, width = 2) => String(n).padStart(width, "0");
  return `${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.` +
    two(t.getMilliseconds(), 3);
}

function drawStatus() {
  const parts = [];
  if (failure) parts.push(make("span", "bad", failure));
  else if (paused) parts.push(make("span", "warn", `Paused. Rows that wait: ${waiting.length}` + (skipped ? `, left out: ${skipped}` : "")));
  else parts.push(make("span", connected ? "" : "warn", connected ? "Live. " : "Not connected. "));
  if (!failure) parts.push(make("span", "rows", `Rows: ${total}` + (total > mostRows ? `, the last ${mostRows} are kept` : "") + ". "));
  for (const notice of notices) parts.push(make("span", "warn", notice));
  $("status").replaceChildren(...parts);
}

function clear() {
  list.replaceChildren();
  waiting = [];
  skipped = total = 0;
  draw();
}

// One record.

let shown = 0; // which record was asked for last: an answer that is late is not shown

async function showRecord(place) {
  const mine = ++shown;
  const detail = $("detail");
  const close = make("button", "", "Close");
  close.onclick = closeRecord;
  const link = make("a", "", "Permalink");
  link.href = "/?record=" + encodeURIComponent(place);
  const head = [make("h2", "mono", place), make("div", "bar", link, close)];
  detail.replaceChildren(...head, make("p", "dim", "Reading ..."));
  detail.hidden = false;
  for (const row of list.children) row.classList.toggle("chosen", row.dataset.place === place);
  const address = new URLSearchParams(query);
  address.set("record", place);
  history.replaceState(null, "", "/?" + address);
  let answer, text;
  try {
    answer = await fetch("/api/record?place=" + encodeURIComponent(place));
    text = await answer.text();
  } catch (e) {
    text = "The record cannot be read: " + e.message;
  }
  if (mine !== shown) return;
  if (!answer?.ok) {
    detail.replaceChildren(...head, make("p", "bad", text));
    return;
  }
  const whole = JSON.parse(text);
  const rows = [];
  if (whole.schema) rows.push(fieldRow("schema", whole.schema));
  // JSON.parse would round numbers of more than 15 digits, so it gets the source of each.
  const record = JSON.parse(text, (_, value, context) =>
    typeof value === "number" && String(value) !== context?.source && context?.source ? context.source : value).record;
  for (const [name, value] of Object.entries(record)) rows.push(fieldRow(name, value));
  const body = [make("table", "fields-of-record", make("tbody", "", ...rows))];
  if (whole.trace) {
    const button = make("button", "", "Show the whole trace");
    button.id = "whole-trace";
    button.onclick = () => showTrace(whole.trace, whole.row, button);
    body.unshift(make("div", "bar", button));
  }
  detail.replaceChildren(...head, ...body);
}

function fieldRow(name, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cell = make("td", "", make("pre", "", text));
  if (!name.startsWith("_") && name !== "schema" && (typeof value !== "object" || value === null) && text.length < 200 && value !== null) {
    const only = make("button", "", "only these");
    only.title = "Show only records with this value";
    only.onclick = () => addField(`${name}=${text}`);
    cell.prepend(only);
  }
  return make("tr", "", make("th", "", name), cell);
}

function closeRecord() {
  shown++;
  stopTrace();
  $("detail").hidden = true;
  for (const row of list.children) row.classList.remove("chosen");
  history.replaceState(null, "", "/?" + query);
}

let stopTrace = () => {};

// showTrace reads the records of a trace: those within an hour of the record.
function showTrace(id, row, button) {
  const hour = 3600e3;
  const asked = new URLSearchParams({ trace: id, count: mostRows, "no-follow": "true" });
  if (row.time) {
    asked.set("since", new Date(Date.parse(row.time) - hour).toISOString());
    const until = Date.parse(row.time) + hour;
    if (until < Date.now()) asked.set("until", new Date(until).toISOString());
  }
  const trace = make("ol", "");
  trace.id = "trace";
  const state = make("p", "dim", "Reading ...");
  button.replaceWith(make("h3", "", "Trace " + id), trace, state);
  let found = 0;
  const finish = (text) => {
    stopTrace();
    state.replaceChildren(visible(text));
  };
  stopTrace();
  stopTrace = follow(() => "/api/rows?" + asked, {
    row: (data) => {
      const next = JSON.parse(data);
      const link = make("a", "", localTime(next.time));
      link.href = permalink(next.place);
      const item = make("li", next.place === row.place ? "chosen" : "", link, " ", make("span", "level " + (next.rank ?? "none"),
        next.level ?? "-"), " " + next.stream + "  " + next.message);
      item.dataset.place = next.place;
      trace.append(item);
      found++;
    },
    failed: finish,
    lost: () => finish("The connection was lost; records may be missing."),
    end: () => finish(`Records of this trace within an hour of this one: ${found}` + (found >= mostRows ? ", which is the most that is shown" : "")),
  });
}

// What a reader does.

$("filters").onsubmit = (e) => {
  e.preventDefault();
  const condition = $("field").value.trim();
  if (condition) addField(condition);
  else show(readForm());
};
$("level").onchange = () => show(readForm());
$("clear").onclick = clear;
$("pause").onclick = () => {
  paused = !paused;
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("pause").setAttribute("aria-pressed", paused);
  draw();
};
document.addEventListener("click", (e) => {
  const item = e.target.closest?.("li[data-place]");
  if (!item || e.ctrlKey || e.metaKey || e.shiftKey || !getSelection().isCollapsed) return;
  e.preventDefault();
  showRecord(item.dataset.place);
});
// A browser has six connections to a server, for all pages of it together: one that nobody looks at gives its own back,
// and asks later for what it has missed meanwhile.
document.addEventListener("visibilitychange", () => {
  if (failure) return;
  stop();
  connected = false;
  known = new Map(offsets);
  if (!document.hidden) begin();
  draw();
});
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && !$("detail").hidden) closeRecord();
});

const settings = await (await fetch("/api/settings")).json();
$("stream").placeholder = settings.patterns.join(" ");
document.title = "logtail " + visible(settings.patterns.join(" "));
const address = new URLSearchParams(location.search);
const record = address.get("record");
address.delete("record");
const first = new URLSearchParams([...address].length ? address : settings.query);
if (record) showRecord(record);
show(first);
