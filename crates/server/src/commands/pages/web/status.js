// Draws status.json, again and again. The server only counts: rates and latencies are the difference between two
// samples. Whatever the server tells is shown as text, never as markup.
"use strict";

const INTERVAL_MS = 2000;
const FIRST_INTERVAL_MS = 500;
// The samples of the lines, and those that a rate spans.
const KEPT = 90;
const SPAN = 5;

const samples = [];
const element = (id) => document.getElementById(id);
const show = (id, text) => { element(id).textContent = text; };

// The sum of a figure, of the series whose labels are wanted.
function sum(sample, name, isWanted = () => true) {
  const series = sample.figures[name] ?? [];
  return series.reduce((total, [labels, number]) => (isWanted(labels) ? total + number : total), 0);
}

// How much a counter has risen in a second between two samples.
function rate(now, then, name, isWanted) {
  if (!then) return null;
  return (sum(now, name, isWanted) - sum(then, name, isWanted)) / (now.seconds - then.seconds);
}

// The duration that so large a share of the calls between two samples stayed below, in seconds. Without an earlier
// sample, all calls count.
function quantile(now, then, name, share, isWanted = () => true) {
  const counts = new Map();
  const add = (sample, sign) => {
    for (const [labels, number] of sample?.figures[`${name}_bucket`] ?? []) {
      if (!isWanted(labels)) continue;
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      counts.set(bound, (counts.get(bound) ?? 0) + sign * number);
    }
  };
  add(now, 1);
  add(then, -1);
  const bounds = [...counts.keys()].sort((one, other) => one - other);
  const wanted = share * (counts.get(Infinity) ?? 0);
  if (!wanted) return null;
  let [below, before] = [0, 0];
  for (const bound of bounds) {
    const count = counts.get(bound);
    if (count >= wanted) {
      return bound === Infinity ? below : below + (bound - below) * ((wanted - before) / (count - before));
    }
    [below, before] = [bound, count];
  }
  return below;
}

const NONE = "–";
const round = (number, digits) => number.toLocaleString("en", { maximumFractionDigits: digits });
const count = (number) => round(number, 0);
const perSecond = (number) => (number === null ? NONE : `${round(number, number < 10 ? 1 : 0)} / s`);
const seconds = (number) =>
  number === null ? NONE : number < 1 ? `${round(number * 1000, number < 0.01 ? 2 : 0)} ms` : `${round(number, 1)} s`;
function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  for (; number >= 1000 && place < units.length - 1; place += 1) number /= 1000;
  return `${round(number, place ? 1 : 0)} ${units[place]}`;
}
function span(number) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = Math.max(0, units.findIndex(([, length]) => number >= length));
  const parts = units.slice(first, first + 2).map(([unit, length]) => {
    const whole = Math.floor(number / length);
    number -= whole * length;
    return `${whole} ${unit}`;
  });
  return parts.join(" ");
}

function node(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function fill(id, nodes, whenEmpty) {
  element(id).replaceChildren(...(nodes.length ? nodes : whenEmpty));
}

function row(cells) {
  const made = node("tr");
  made.append(...cells.map((cell) => (cell instanceof Node ? cell : node("td", cell))));
  return made;
}

function emptyRow(columns, text) {
  const cell = node("td", text);
  cell.colSpan = columns;
  return [row([cell])];
}

// A line of what a figure was at each sample.
function line(id, valueOf) {
  const values = samples.map((sample, place) => valueOf(sample, samples[place - 1])).map((value) => value ?? 0);
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, place) => `${place + KEPT - values.length},${30 - (28 * value) / most}`);
  const svg = element(id);
  svg.setAttribute("viewBox", `0 0 ${KEPT - 1} 31`);
  svg.setAttribute("preserveAspectRatio", "none");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  drawn.setAttribute("points", points.slice(1).join(" "));
  svg.replaceChildren(drawn);
}

function bar(id, used, limit) {
  element(id).value = limit > 0 ? used / limit : 0;
}

const REQUESTS = "crossbar_groups_http_requests_total";
const DURATION = "crossbar_groups_http_request_duration_seconds";
const CALLS = "crossbar_groups_store_calls_total";
const CALL_DURATION = "crossbar_groups_store_call_duration_seconds";
// 501 answers a method that nothing here has, such as those of scanners.
const isFault = ({ status }) => status >= "500" && status !== "501";
const isRefused = ({ status }) => (status >= "400" && status < "500") || status === "501";
const isFailedCall = ({ outcome }) => ["denied", "timeout", "unreachable", "unavailable", "failed"].includes(outcome);

function draw(now) {
  const then = samples[Math.max(0, samples.length - 1 - SPAN)];
  const earlier = then === now ? undefined : then;
  const gauge = (name) => sum(now, `crossbar_groups_${name}`);
  const { health } = now;

  show("version", now.version);
  show("state", now.ready ? (health.writes === false ? "ready, but cannot write" : "ready") : "not ready");
  element("state").className = `state ${now.ready && health.writes !== false ? "good" : "bad"}`;
  document.title = `${now.ready ? "" : "not ready: "}crossbar-groups: status`;

  show("requests", perSecond(rate(now, earlier, REQUESTS)));
  line("requests-line", (sample, before) => rate(sample, before, REQUESTS));
  const faults = rate(now, earlier, REQUESTS, isFault);
  show("requests-more", `${count(sum(now, REQUESTS))} since the start, ${count(gauge("http_requests_in_flight"))} at work, `
    + `${count(sum(now, REQUESTS, isFault))} failed (${perSecond(faults)})`);

  show("latency", seconds(quantile(now, earlier, DURATION, 0.99)));
  line("latency-line", (sample, before) => before && quantile(sample, before, DURATION, 0.99));
  show("latency-more", `median ${seconds(quantile(now, earlier, DURATION, 0.5))}; `
    + `since the start ${seconds(quantile(now, undefined, DURATION, 0.99))}`);

  show("store", perSecond(rate(now, earlier, CALLS)));
  line("store-line", (sample, before) => rate(sample, before, CALLS));
  show("store-more", `99 of 100 within ${seconds(quantile(now, earlier, CALL_DURATION, 0.99))}, `
    + `${count(gauge("store_calls_in_flight"))} at work, ${count(sum(now, CALLS, isFailedCall))} failed`);

  drawCache(now, earlier, gauge);
  const [memory, memoryLimit] = [gauge("request_memory_bytes"), gauge("request_memory_limit_bytes")];
  show("memory", bytes(memory));
  bar("memory-bar", memory, memoryLimit);
  show("memory-more", `of ${bytes(memoryLimit)}`);
  const [connections, most] = [gauge("connections"), gauge("connections_limit")];
  show("connections", count(connections));
  bar("connections-bar", connections, most);
  show("connections-more", `of ${count(most)}; ${count(gauge("lane_jobs"))} requests on the threads for long work`);
  drawNotices(health.notices);

  const processor = rate(now, earlier, "process_cpu_seconds_total");
  show("process", bytes(sum(now, "process_resident_memory_bytes")));
  show("process-more", `${processor === null ? NONE : round(100 * processor, 0)} % of one processor, `
    + `${count(sum(now, "process_threads"))} threads, ${count(sum(now, "process_open_fds"))} of `
    + `${count(sum(now, "process_max_fds"))} files`);

  drawAbout(now);
  drawRoutes(now, earlier);
  drawLog(now.log);
  const settings = now.settings.map(({ key, value, source }) => row([key, value ?? "not set", source]));
  fill("settings", settings, emptyRow(3, "none"));
}

function drawCache(now, earlier, gauge) {
  if (!now.figures.crossbar_groups_cache_entries) {
    show("cache", "off");
    show("cache-more", "every read goes to the store");
    return;
  }
  const risen = (name) => sum(now, name) - (earlier ? sum(earlier, name) : 0);
  const [hits, misses] = [risen("crossbar_groups_cache_hits_total"), risen("crossbar_groups_cache_misses_total")];
  const share = hits + misses ? hits / (hits + misses) : null;
  show("cache", share === null ? NONE : `${round(100 * share, 0)} % from memory`);
  bar("cache-bar", share ?? 0, 1);
  show("cache-more", `${count(gauge("cache_entries"))} entries, ${bytes(gauge("cache_bytes"))}; `
    + `${count(gauge("cache_feeds_alive"))} of ${count(gauge("cache_feeds"))} feeds alive`);
}

function drawNotices(notices) {
  if (!notices) {
    show("notices", "off");
    show("notices-more", "no broker is told of changes");
    return;
  }
  show("notices", `${count(notices.waiting)} waiting`);
  show("notices-more", `${notices.connected ? "connected" : "no broker answers"}; ${count(notices.sent)} sent, `
    + `${count(notices.dropped)} dropped; ${notices.listening ? `${count(notices.heard)} heard` : "hears nobody"}`
    + (notices.shares_name ? "; another server has the same node name" : ""));
}

function drawAbout(now) {
  const { health } = now;
  const started = sum(now, "process_start_time_seconds");
  const facts = [
    ["Store", now.store],
    ["Health", health.status],
    ["Writes", health.writes === null ? "none in the last minute" : health.writes ? "work" : health.reason],
    ["Release", `Kazoo ${health.profile}`],
    ...(now.figures.crossbar_groups_couchdb_node_used ?? [])
      .map(([labels, used]) => ["Node", `${labels.node}: ${used ? "used" : "left out"}`]),
    ["Running", started ? span(now.seconds - started) : NONE],
    ...health.tasks.map((task, place) => [place ? "" : "Tasks", task]),
  ];
  fill("about", facts.flatMap(([name, text]) => [node("dt", name), node("dd", text)]), []);
}

function drawRoutes(now, earlier) {
  const routes = new Map();
  for (const [{ method, route }, number] of now.figures[REQUESTS] ?? []) {
    const key = `${method} ${route}`;
    const known = routes.get(key) ?? { method, route, total: 0 };
    known.total += number;
    routes.set(key, known);
  }
  const sorted = [...routes].sort(([, one], [, other]) => other.total - one.total);
  const rows = sorted.map(([key, { method, route, total }]) => {
    const isThis = (labels) => labels.method === method && labels.route === route;
    const faults = sum(now, REQUESTS, (labels) => isThis(labels) && isFault(labels));
    return row([
      key,
      count(total),
      perSecond(rate(now, earlier, REQUESTS, isThis)),
      seconds(quantile(now, undefined, DURATION, 0.5, isThis)),
      seconds(quantile(now, undefined, DURATION, 0.99, isThis)),
      count(sum(now, REQUESTS, (labels) => isThis(labels) && isRefused(labels))),
      node("td", count(faults), faults ? "bad" : ""),
    ]);
  });
  fill("routes", rows, emptyRow(7, "no request yet"));
}

function drawLog(events) {
  const lines = events.map(({ time, level, message, fields, times }) => {
    const item = node("li");
    item.append(node("time", time), node("b", level, level), node("span", `${message} `), node("small", fields));
    if (times > 1) item.append(node("small", `${count(times)} times`));
    return item;
  });
  fill("log", lines, [node("li", "none since the start")]);
}

function keep(sample) {
  const started = (of) => of && sum(of, "process_start_time_seconds");
  const before = samples.at(-1);
  // Another process counts from zero.
  if (before && (started(before) !== started(sample) || sample.seconds <= before.seconds)) samples.length = 0;
  samples.push(sample);
  if (samples.length > KEPT) samples.shift();
}

async function look() {
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const sample = await answer.json();
    sample.seconds = Date.parse(sample.time) / 1000;
    keep(sample);
    draw(sample);
    element("lost").hidden = true;
  } catch (error) {
    show("lost", `The server does not answer (${error.message}). The figures below are old.`);
    element("lost").hidden = false;
  }
}

async function run() {
  for (;;) {
    if (document.visibilityState === "visible") await look();
    const pause = samples.length < 2 ? FIRST_INTERVAL_MS : INTERVAL_MS;
    await new Promise((done) => { setTimeout(done, pause); });
  }
}

run();
