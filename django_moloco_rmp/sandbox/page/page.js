// Shows events as they arrive. The values come from outside and may hold anything, so they reach
// the page by textContent only.
"use strict";

const POLL_MS = 500;
const RETRY_MS = 1000;
const ANSWER_MS = 5000;
const MAX_ROWS = 500;
const MAX_ITEMS = 3;
// An event sent so much later than it happened was held up on its way.
const LATE_MS = 5000;
const EVENT_TYPES = new Set([
  "HOME", "LAND", "PAGE_VIEW", "SEARCH",
  "ITEM_PAGE_VIEW", "ADD_TO_CART", "ADD_TO_WISHLIST", "PURCHASE",
]);

const byId = (id) => document.getElementById(id);
const table = document.querySelector("table");
const template = byId("event");
const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});

let generation = "";
let last = 0;
let rows = 0;
let timer;

// Reading values of any kind

const record = (value) => (value !== null && typeof value === "object" ? value : {});

function text(value) {
  return typeof value === "string" || typeof value === "number" ? String(value).trim() : "";
}

function cut(value, length) {
  const characters = Array.from(value);
  return characters.length > length ? characters.slice(0, length).join("") + "…" : value;
}

function money(value) {
  const { amount, currency } = record(value);
  if (typeof amount !== "number" || !/^[A-Z]{3}$/.test(currency)) {
    return cut(`${text(currency)} ${text(amount)}`.trim(), 40);
  }
  return new Intl.NumberFormat("en", {
    style: "currency", currency, currencyDisplay: "code", maximumFractionDigits: 6,
  }).format(amount);
}

function duration(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// The same shopper gets the same colour.
function hue(value) {
  let hash = 0;
  for (const character of value) hash = (hash * 31 + character.codePointAt(0)) % 9973;
  return (hash * 137) % 360;
}

// Making elements

function element(name, content, className) {
  const made = document.createElement(name);
  made.textContent = content;
  if (className) made.className = className;
  return made;
}

// Where a page id may go on in the next line: after its kind, and within an address.
function fillPage(cell, value) {
  if (!value) return;
  for (const part of cut(value, 128).split(/(?<=[:/])/)) {
    cell.append(part, document.createElement("wbr"));
  }
}

function fillTime(cell, event, body) {
  const received = new Date(event.received_at);
  const time = cell.querySelector("time");
  time.dateTime = event.received_at;
  const [seconds, fraction] = clock.format(received).split(".");
  time.append(seconds, element("i", `.${fraction}`));
  const late = received - Number(text(body.timestamp) || NaN);
  if (late > LATE_MS) cell.querySelector("small").textContent = `sent ${duration(late)} late`;
}

function fillShopper(cell, body) {
  const device = record(body.device);
  const ids = [
    ["user", text(body.user_id)],
    ["browser", text(device.persistent_id)],
    ["custom", text(body.custom_id)],
  ];
  if (!ids.some(([, id]) => id)) {
    ids.push(["session", text(body.session_id)], ["device", text(device.unique_device_id)],
             ["ad id", text(device.advertising_id)]);
  }
  for (const [name, id] of ids) {
    if (!id) continue;
    const line = element("span", "");
    line.title = id;
    line.style.setProperty("--hue", hue(id));
    line.append(element("em", name), element("code", cut(id, 8)));
    cell.append(line);
  }
}

function fillItems(cell, body) {
  const query = text(body.search_query);
  if (query) cell.append(element("span", `“${cut(query, 80)}”`, "query"));
  const items = Array.isArray(body.items) ? body.items : [];
  for (const value of items.slice(0, MAX_ITEMS)) {
    const item = record(value);
    const line = element("span", "");
    line.append(element("code", cut(text(item.id) || text(item.item_group_id) || "?", 40)));
    const quantity = text(item.quantity);
    if (quantity) line.append(` × ${cut(quantity, 12)}`);
    const price = money(item.price);
    if (price) line.append(" ", element("small", price));
    cell.append(line);
  }
  if (items.length > MAX_ITEMS) {
    cell.append(element("span", `and ${items.length - MAX_ITEMS} more`));
  }
}

function verdict(event) {
  if (event.status === 0) return ["refused", "✕ dropped"];
  if (event.status >= 200 && event.status < 300) return ["accepted", `✓ ${event.status}`];
  return ["refused", `✕ ${event.status}`];
}

function makeRow(event) {
  const row = template.content.firstElementChild.cloneNode(true);
  const find = (selector) => row.querySelector(selector);
  const body = record(event.body);
  const type = text(body.event_type);
  const isObject = event.body === body && !Array.isArray(body);
  const shown = type ? cut(type, 32) : isObject ? "no type" : "not an event";

  const [outcome, badge] = verdict(event);
  row.classList.add(outcome);
  find(".badge").textContent = badge;
  fillTime(find(".time"), event, body);
  find(".type").textContent = shown;
  if (EVENT_TYPES.has(type)) find(".type").classList.add("known", type.toLowerCase());
  find(".duplicate").hidden = !event.duplicate;
  find(".note").hidden = !event.message;
  find(".message").textContent = cut(event.message, 300);
  fillShopper(find(".shopper"), body);
  fillPage(find(".page .value"), text(body.page_id));
  fillPage(find(".referrer"), text(body.referrer_page_id));
  fillItems(find(".items"), body);
  find(".revenue .value").textContent = money(body.revenue);
  const shipping = money(body.shipping_charge);
  if (shipping) find(".revenue small").textContent = `shipping ${shipping}`;

  const button = find("button");
  const details = find(".details");
  const name = `${shown} at ${find("time").textContent}`;
  button.setAttribute("aria-label", `Body of ${name}`);
  details.id = `body-${event.number}`;
  button.setAttribute("aria-controls", details.id);
  row.addEventListener("click", (click) => {
    if (details.contains(click.target)) return;
    // A click that ends a selection is for copying, not for opening.
    if (!button.contains(click.target) && String(window.getSelection())) return;
    const open = row.classList.toggle("open");
    details.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    const pre = find("pre");
    pre.setAttribute("aria-label", `Body of ${name}`);
    if (open && !pre.textContent) {
      pre.textContent =
        typeof event.body === "string" ? event.body : JSON.stringify(event.body, null, 2);
    }
  });
  return row;
}

// Keeping the page up to date

function forget() {
  table.querySelectorAll("tbody").forEach((row) => row.remove());
  rows = 0;
  last = 0;
}

function showTotals(totals) {
  for (const [name, count] of Object.entries(totals)) {
    const cell = byId(name);
    cell.textContent = count.toLocaleString("en");
    cell.parentElement.classList.toggle("some", count > 0);
  }
  document.title = `${totals.received ? `(${totals.received}) ` : ""}User events: sandbox`;
  byId("older").hidden = totals.received <= rows;
  byId("clear").disabled = totals.received === 0;
}

function showFacts(answer) {
  byId("platform").textContent = answer.platform_id;
  document.querySelectorAll(".platform").forEach((place) => {
    place.textContent = answer.platform_id;
  });
  byId("strict").hidden = !answer.strict;
  byId("quota").hidden = answer.max_qps === null;
  byId("quota").textContent = `at most ${answer.max_qps} a second`;
  byId("faults").hidden = answer.faults.length === 0;
  byId("fault-list").textContent = answer.faults
    .map((fault) => `${fault.title} ${fault.count === null ? "(until deleted)" : `× ${fault.count}`}`)
    .join("; ");
}

function show(answer) {
  const first = generation === "";
  if (answer.generation !== generation) {
    forget();
    generation = answer.generation;
  }
  for (const event of answer.events) {
    const row = makeRow(event);
    if (!first) row.classList.add("fresh");
    table.tHead.after(row);
    rows += 1;
  }
  for (; rows > MAX_ROWS; rows -= 1) table.lastElementChild.remove();
  last = answer.last;
  byId("empty").hidden = rows > 0;
  byId("list").hidden = rows === 0;
  if (answer.events.length && !first) {
    const types = answer.events.slice(-3).map((event) => text(record(event.body).event_type));
    byId("news").textContent = `${answer.totals.received} received, new: ${types.join(", ")}`;
  }
  showFacts(answer);
  showTotals(answer.totals);
}

function showConnection(live) {
  const text = live ? "Live" : "Connection lost";
  byId("connection").className = live ? "live" : "lost";
  byId("lost").hidden = live;
  // Set only when it changes, so that screen readers say it once.
  if (byId("connection-text").textContent !== text) byId("connection-text").textContent = text;
}

async function poll() {
  clearTimeout(timer);
  let wait = POLL_MS;
  try {
    const query = new URLSearchParams({ generation, after: String(last) });
    const response = await fetch(`/live?${query}`, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
    showConnection(true);
  } catch (error) {
    console.warn("The sandbox does not answer:", error);
    showConnection(false);
    wait = RETRY_MS;
  }
  timer = setTimeout(poll, wait);
}

byId("clear").addEventListener("click", async () => {
  byId("clear").disabled = true;
  try {
    await fetch("/events", { method: "DELETE" });
  } catch {
    // The next poll says that the connection is lost.
  }
});

document.querySelectorAll(".origin").forEach((place) => {
  place.textContent = window.location.origin;
});
byId("now").textContent = String(Date.now());
poll();
