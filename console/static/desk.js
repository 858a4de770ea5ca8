// The desk's own script: fresh parts that keep focus, scroll and typed text; drafts; keyboard; alerts.
"use strict";

const body = document.body, data = body.dataset;
const $ = (id) => document.getElementById(id);
const room = $("c"), timeline = $("tl"), rows = $("rows");
const kept = new Map(); // what the server last said of a piece, so that only what changed is touched
const fill = (text, blanks) => text.replace(/\{(\w+)\}/g, (_, name) => blanks[name] ?? "");

// ── merging ───────────────────────────────────────────────────────────────────────────────────────────────────────

function remember(root) {
  for (const one of [root, ...root.querySelectorAll("[id]")]) if (one.id) kept.set(one.id, one.outerHTML);
}

// What a person has begun in an old piece goes on in the new one.
function carry(old, fresh) {
  for (const field of old.querySelectorAll("textarea[id], input[id]:not([type=hidden]):not([type=file]), select[id]")) {
    const same = fresh.querySelector("#" + CSS.escape(field.id));
    const changed = field.tagName === "SELECT"
      ? [...field.options].some((option) => option.selected !== option.defaultSelected) : field.value !== field.defaultValue;
    if (same && changed) same.value = field.value;
  }
  for (const open of old.querySelectorAll("details[open][id]")) fresh.querySelector("#" + CSS.escape(open.id))?.setAttribute("open", "");
}

function put(old, fresh, made) {
  const said = fresh.outerHTML;
  if (kept.get(old.id) === said) return old;
  remember(fresh);
  carry(old, fresh);
  old.replaceWith(fresh);
  made.push(fresh);
  return fresh;
}

// Children by id: new ones come in at their place, changed ones are replaced, what is gone goes; the rest is not touched.
function mergeChildren(target, source, made, { add = true } = {}) {
  const wanted = new Set([...source.children].map((one) => one.id));
  for (const one of [...target.children]) if (!wanted.has(one.id) && !("page" in one.dataset) && !("keep" in one.dataset)) one.remove();
  let before = null;
  for (const fresh of [...source.children]) {
    const old = fresh.id && target.querySelector(":scope > #" + CSS.escape(fresh.id));
    if (!old && !add) continue;
    let here = old;
    if (old) here = put(old, fresh, made);
    else { remember(fresh); made.push(fresh); here = fresh; }
    const next = before ? before.nextElementSibling : target.firstElementChild;
    if (add && here !== next) target.insertBefore(here, next);
    if (!old || add) before = here;
  }
}

function merge(target, source) {
  const made = [];
  if (target.id === "rows") mergeRows(target, source, made);
  else if (target.id === "tl-list") mergeTimeline(target, source, made);
  else if ("merge" in target.dataset) mergeChildren(target, source, made);
  else put(target, source, made);
  for (const one of made) htmx.process(one);
  return made;
}

function mergeRows(target, source, made) {
  const news = [...source.children].filter((one) => one.matches(".cv") && !$(one.id));
  const busy = target.scrollTop > 8 || target.contains(document.activeElement);
  mergeChildren(target, source, made, { add: !busy });
  pill($("new-rows"), busy ? news.length : 0);
}

let unseen = 0;
function mergeTimeline(target, source, made) {
  const atEnd = timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight < 90;
  const known = new Set([...target.children].map((one) => one.id));
  const talked = [...source.querySelectorAll("[data-in]")].filter((one) => !known.has(one.id) || kept.get(one.id) !== one.outerHTML);
  const news = [...source.children].filter((one) => !known.has(one.id) && !one.matches(".day")).length;
  mergeChildren(target, source, made);
  if (talked.length) say(fill(data.said, { name: room.querySelector("#head h2")?.textContent ?? "" }));
  if (atEnd) toEnd();
  else pill($("new-said"), (unseen += news));
}

function pill(button, count) {
  if (!button) return;
  button.hidden = !count;
  if (count) button.textContent = count === 1 ? data.newOne : fill(data.newOther, { n: count });
}

function toEnd() {
  if (timeline) timeline.scrollTop = timeline.scrollHeight;
  unseen = 0;
  pill($("new-said"), 0);
}

function say(text) {
  const place = $("say");
  place.textContent = "";
  requestAnimationFrame(() => (place.textContent = text));
}

htmx.defineExtension("merge", {
  isInlineSwap: (style) => style === "merge",
  handleSwap: (style, target, fragment) => {
    if (style !== "merge") return false;
    merge(target, fragment.firstElementChild);
    return [];
  },
});

// ── live ──────────────────────────────────────────────────────────────────────────────────────────────────────────

// What a person does is answered first: fresh parts would take its form away, and htmx swaps nothing for what is gone.
const acts = new Set();
function acting() {
  for (const xhr of acts) if ([XMLHttpRequest.UNSENT, XMLHttpRequest.DONE].includes(xhr.readyState)) acts.delete(xhr);
  return acts.size > 0;
}
body.addEventListener("htmx:beforeSend", (event) => { if (event.detail.requestConfig.elt !== body) acts.add(event.detail.xhr); });
body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.requestConfig?.elt === body && acting()) { event.detail.shouldSwap = false; again = true; }
});
body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig?.elt !== body && again) { again = false; refresh(); }
});

let running = false, again = false;
async function refresh() {
  if (!data.live) return;
  if (running || acting()) return void (again = true);
  running = true;
  try {
    await htmx.ajax("GET", data.live, { source: body, target: "#flags", swap: "none" });
  } finally {
    running = false;
    if (again && !acting()) { again = false; refresh(); }
  }
}

// A browser opens only six connections to a server: a tab in the background listens only if it is the one for all.
let stream = null, leads = !navigator.locks;
navigator.locks?.request("acuse-stream", () => new Promise(() => { leads = true; listen(); }));
function listen() {
  if (!data.stream || stream || (document.hidden && !leads)) return;
  stream = new EventSource(data.stream);
  for (const name of ["open", "desk", "conversation"]) stream.addEventListener(name, () => { $("offline")?.setAttribute("hidden", ""); refresh(); });
  stream.addEventListener("error", () => {
    $("offline")?.removeAttribute("hidden");
    if (stream?.readyState === EventSource.CLOSED) { stream = null; refresh(); setTimeout(listen, 3000); }
  });
}
addEventListener("pagehide", () => { stream?.close(); stream = null; });
addEventListener("pageshow", listen);
document.addEventListener("visibilitychange", () => {
  if (document.hidden && !leads) { stream?.close(); stream = null; }
  else listen();
});

// ── alerts: the title, the browser, and for what is urgent the voice ──────────────────────────────────────────────

const plainTitle = document.title.replace(/^\(\d+\) /, "");
function alarms() {
  const flags = $("flags"), total = Number(flags?.dataset.total ?? 0);
  if (!flags || flags.dataset.total === undefined) return;
  document.title = total ? `(${total}) ${plainTitle}` : plainTitle;
  const found = [...flags.children].map((one) => ({ key: one.dataset.id + one.dataset.at, ...one.dataset, urgent: "urgent" in one.dataset }));
  const before = localStorage.getItem("acuse-flags");
  localStorage.setItem("acuse-flags", JSON.stringify(found.map((one) => one.key)));
  if (before === null) return;
  const known = new Set(JSON.parse(before));
  for (const one of found.filter((flag) => !known.has(flag.key))) {
    if (one.urgent) $("alarm").textContent = fill(data.critical, { name: one.name, why: one.why });
    if (window.Notification?.permission === "granted") {
      const note = new Notification(fill(data.waits, { name: one.name }), { body: one.why, tag: one.key, requireInteraction: one.urgent });
      note.onclick = () => { window.focus(); location.href = `/desk/c/${one.id}?view=flagged`; };
    }
  }
}

async function askAlerts() {
  const answer = window.Notification ? await Notification.requestPermission() : "denied";
  const text = answer === "granted" ? data.alertsOn : data.alertsOff;
  if ($("alerts-state")) $("alerts-state").textContent = text; else toast(text);
}

// ── bars and toasts ───────────────────────────────────────────────────────────────────────────────────────────────

function bar(text, place = $("bar")) {
  if (!place) return toast(text);
  const box = document.createElement("div");
  box.className = "alertbar alertbar--bad";
  box.textContent = text;
  place.replaceChildren(box);
}

let fading;
function toast(text) {
  const box = document.createElement("div");
  box.className = "toast";
  box.dataset.seconds = "5";
  box.textContent = text;
  $("toast").replaceChildren(box);
  fade();
}
function fade() {
  const box = $("toast").firstElementChild;
  if (!box || box.dataset.timed) return;
  box.dataset.timed = "1";
  clearTimeout(fading);
  if (box.dataset.undoSeconds) setTimeout(() => box.querySelector("#undo")?.remove(), Number(box.dataset.undoSeconds) * 1000);
  fading = setTimeout(() => box.remove(), Number(box.dataset.seconds) * 1000 + 300);
}

body.addEventListener("htmx:oobAfterSwap", () => { fade(); });
body.addEventListener("htmx:afterSettle", () => {
  fade();
  alarms();
  const speaker = $("speak")?.dataset.speaker;
  if (room && speaker && room.dataset.speaker !== speaker) { room.dataset.speaker = speaker; mode(speaker === "me" ? "reply" : null); }
});
body.addEventListener("htmx:sendError", (event) => { if (event.detail.elt !== body) bar(data.lost, event.detail.target); });
body.addEventListener("htmx:responseError", (event) => {
  if (event.detail.elt !== body && event.detail.xhr.status >= 500) bar(data.failed, event.detail.target);
});
body.addEventListener("htmx:beforeSwap", (event) => {
  const from = event.detail.requestConfig?.elt;
  if (event.detail.xhr.status < 300) for (const menu of from?.closest?.("details.menu, details.fold") ? [from.closest("details")] : []) menu.removeAttribute("open");
});
body.addEventListener("stale", () => refresh());
body.addEventListener("resent", (event) => $("f-" + event.detail.value)?.remove());

// ── writing: mode, drafts, files, macros, undo ────────────────────────────────────────────────────────────────────

function mode(name) {
  if (!room) return;
  room.dataset.mode = name ?? "";
  for (const button of document.querySelectorAll("[data-mode-to]")) button.setAttribute("aria-pressed", String(button.dataset.modeTo === name));
}
function write(name) {
  mode(name);
  $(name)?.focus();
}

const waiting = new Map(); // mode → timer
const held = (name) => `acuse-draft-${data.c}-${name}`; // what the server may not have yet: this tab's own last words
function forget(name) {
  clearTimeout(waiting.get(name));
  waiting.delete(name);
  sessionStorage.removeItem(held(name));
}
function saveDraft(name, leaving = false) {
  clearTimeout(waiting.get(name));
  waiting.delete(name);
  const text = $(name).value;
  const form = new FormData();
  form.set("csrf", data.csrf);
  form.set("mode", name);
  form.set("text", text);
  fetch(`/desk/c/${data.c}/draft`, { method: "POST", body: form, keepalive: leaving }).then((answer) => {
    if (!answer.ok) return;
    if (sessionStorage.getItem(held(name)) === text) sessionStorage.removeItem(held(name));
    if ($("saved")) $("saved").textContent = $(name).value ? data.saved : "";
  }, () => {});
}
document.addEventListener("input", (event) => {
  const name = event.target.dataset?.draft;
  if (name) {
    sessionStorage.setItem(held(name), event.target.value);
    clearTimeout(waiting.get(name));
    waiting.set(name, setTimeout(saveDraft, 600, name));
    count();
  }
});
addEventListener("pagehide", () => { for (const name of [...waiting.keys()]) saveDraft(name, true); });
document.addEventListener("visibilitychange", () => { if (document.hidden) for (const name of [...waiting.keys()]) saveDraft(name, true); });

function count() {
  const place = document.querySelector("#f-reply .cnt"), field = $("reply");
  if (!place || !field) return;
  const most = Number(place.dataset.limit), length = [...field.value].length;
  place.textContent = length > most * 0.7 ? `${length} / ${most}` : "";
}

let sentFiles = null;
function picked() {
  const list = $("picked"), input = $("files");
  if (!list || !input) return;
  list.replaceChildren(...[...input.files].map((file, place) => {
    const row = document.createElement("li"), drop = document.createElement("button");
    row.className = "att";
    row.textContent = file.name;
    drop.type = "button";
    drop.className = "ib ib-s";
    drop.textContent = "×";
    drop.setAttribute("aria-label", `× ${file.name}`);
    drop.addEventListener("click", () => {
      const rest = new DataTransfer();
      [...input.files].forEach((one, number) => { if (number !== place) rest.items.add(one); });
      input.files = rest.files;
      picked();
    });
    row.append(drop);
    return row;
  }));
  list.hidden = !input.files.length;
}
$("files")?.addEventListener("change", picked);

const fresh = () => crypto.randomUUID?.() ?? String(Math.random()).slice(2) + Date.now();
body.addEventListener("htmx:beforeRequest", (event) => {
  const name = event.detail.elt.id === "f-reply" ? "reply" : event.detail.elt.id === "f-note" ? "note" : null;
  if (name) { clearTimeout(waiting.get(name)); waiting.delete(name); }  // the message itself overtakes its draft
});
body.addEventListener("sent", () => {
  const form = $("f-reply"), input = $("files");
  forget("reply");
  sentFiles = input?.files.length ? [...input.files] : null;
  form.key.value = fresh();
  $("reply").value = "";
  if (input) input.value = "";
  if ($("saved")) $("saved").textContent = "";
  picked();
  count();
  toEnd();
  $("reply").focus();
});
body.addEventListener("noted", () => { forget("note"); $("note").value = ""; if ($("saved")) $("saved").textContent = ""; mode(room.dataset.speaker === "me" ? "reply" : null); toEnd(); });
body.addEventListener("taken", () => { room.dataset.speaker = "me"; write("reply"); });
body.addEventListener("given", () => mode(null));
body.addEventListener("putback", (event) => {
  const field = $("reply"), input = $("files");
  field.value = [event.detail.text, field.value].filter(Boolean).join("\n\n");
  if (sentFiles && input) {
    const back = new DataTransfer();
    sentFiles.forEach((file) => back.items.add(file));
    input.files = back.files;
    picked();
  }
  write("reply");
  saveDraft("reply");
});

function insert(text) {
  const field = $("reply");
  if (!field || room.dataset.speaker !== "me") return bar(data.takeFirst);
  write("reply");
  const glue = field.value && !/\s$/.test(field.value.slice(0, field.selectionStart)) && field.selectionStart ? "\n\n" : "";
  field.setRangeText(glue + text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// ── clicks ────────────────────────────────────────────────────────────────────────────────────────────────────────

const opens = { assign: "m-assign", classify: "m-type", close: "m-move" };
function open(what) {
  const menu = $(opens[what]);
  if (!menu) return bar(data.noCase);
  if (getComputedStyle($("ficha")).visibility === "hidden") location.hash = "ficha";
  menu.setAttribute("open", "");
  if (what === "close") {
    const to = $("move-to"), ends = [...to.options].map((one) => one.value);
    const end = ["cerrado", "cumplido"].find((one) => ends.includes(one));
    if (end) to.value = end;
    else bar(data.notClosable, $("side-bar"));
    to.focus();
  } else menu.querySelector("button")?.focus();
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.removeAttribute("open");
  if (at("[data-open]")) { $(at("[data-open]").dataset.open).showModal(); }
  else if (at("[data-mode-to]")) write(at("[data-mode-to]").dataset.modeTo);
  else if (at("[data-note]")) write("note");
  else if (at("[data-macro]")) { at("details")?.removeAttribute("open"); insert(at("[data-macro]").dataset.macro); }
  else if (at("[data-copy]")) navigator.clipboard?.writeText(at("[data-copy]").dataset.copy);
  else if (at("[data-dismiss]")) at(".alertbar").remove();
  else if (at("#new-said")) toEnd();
  else if (at("#new-rows")) { rows.scrollTop = 0; document.activeElement?.blur?.(); refresh(); }
  else if (at("#ask-alerts, [data-ask-alerts]")) askAlerts();
  else if (at("[data-do]")) { event.preventDefault(); open(at("[data-do]").dataset.do); }
  else if (at("#pal [role=option]")) choose(at("[role=option]"));
});

document.addEventListener("toggle", (event) => {
  const place = event.target.open && event.target.querySelector?.("[data-frame]");
  if (!place || place.firstChild) return;
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "");
  frame.title = place.dataset.frameTitle;
  frame.src = place.dataset.frame;
  place.append(frame);
}, true);

// ── palette and keyboard ──────────────────────────────────────────────────────────────────────────────────────────

const palette = $("pal");
const choices = () => [...palette.querySelectorAll("[role=option]")].filter((one) => one.offsetParent && one.getAttribute("aria-disabled") !== "true");
function mark(one) {
  for (const other of palette.querySelectorAll("[aria-selected=true]")) other.setAttribute("aria-selected", "false");
  one?.setAttribute("aria-selected", "true");
  one?.scrollIntoView({ block: "nearest" });
  if (one) $("pal-q").setAttribute("aria-activedescendant", one.id);
  else $("pal-q").removeAttribute("aria-activedescendant");
}
function choose(one) {
  palette.close();
  if (one.dataset.href) location.href = one.dataset.href;
  else if (one.dataset.press) press(one.dataset.press);
}
function filter() {
  const asked = $("pal-q").value.trim().toLowerCase();
  for (const one of palette.querySelectorAll("[data-press], [id^=p-go]")) one.hidden = Boolean(asked) && !one.textContent.toLowerCase().includes(asked);
  mark(choices()[0]);
}
palette?.addEventListener("input", filter);
palette?.addEventListener("htmx:afterSwap", filter);
palette?.addEventListener("keydown", (event) => {
  const all = choices(), here = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    mark(all[(here + (event.key === "ArrowDown" ? 1 : -1) + all.length) % all.length]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const q = $("pal-q").value.trim();
    if (here >= 0) choose(all[here]);
    else if (q) location.href = "/desk?q=" + encodeURIComponent(q);
  }
});

function move(step) {
  const all = [...document.querySelectorAll(".cv")], here = all.indexOf(document.activeElement);
  const from = here >= 0 ? here : all.findIndex((one) => one.hasAttribute("aria-current"));
  all[Math.max(0, Math.min(all.length - 1, from + step))]?.focus();
}

let went = 0;
function press(key) {
  const speaker = room?.dataset.speaker;
  switch (key) {
    case "j": return move(1);
    case "k": return move(-1);
    case "/": palette.showModal(); filter(); return $("pal-q").select();
    case "?": return $("keys").showModal();
    case "t": return document.querySelector("[data-key=t]")?.click();
    case "r": return room && (speaker === "me" ? write("reply") : bar(data.takeFirst));
    case "n": return room && write("note");
    case "a": return room && open("assign");
    case "c": return room && open("classify");
    case "e": return room && open("close");
  }
}
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); return press("/"); }
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && event.target.form?.matches(".box")) { event.preventDefault(); return event.target.form.requestSubmit(); }
  if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) { menu.removeAttribute("open"); menu.querySelector("summary")?.focus(); }
  const typing = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("acuse-keys") === "off") return;
  const key = event.key.toLowerCase();
  if (key === "g") return void (went = Date.now());
  if (Date.now() - went < 1000 && (key === "i" || key === "d")) location.href = key === "i" ? "/desk" : "/desk/figures";
  else if ("jk/?trnace".includes(key) && key.length === 1) { event.preventDefault(); press(key); }
});

// ── start ─────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const id of ["views", "head", "speak", "ficha", "rows", "tl-list"]) if ($(id)) remember($(id));
for (const id of ["views", "head", "speak"]) if ($(id)) kept.set(id, $(id).outerHTML);
if (!room) for (const one of document.querySelectorAll(".only-room")) one.remove();
if ($("keys-on")) {
  $("keys-on").checked = localStorage.getItem("acuse-keys") !== "off";
  $("keys-on").addEventListener("change", () => localStorage.setItem("acuse-keys", $("keys-on").checked ? "on" : "off"));
}
if (room) {
  for (const name of ["reply", "note"]) {
    const last = sessionStorage.getItem(held(name));
    if (last !== null && $(name)) { $(name).value = last; saveDraft(name); }
  }
}
if (room) { mode(room.dataset.speaker === "me" ? "reply" : $("note")?.value ? "note" : null); count(); }
if (rows) {
  rows.scrollTop = Number(sessionStorage.getItem("acuse-list" + location.search) ?? 0);
  const here = rows.querySelector("[aria-current]");
  if (here && (here.offsetTop < rows.scrollTop || here.offsetTop + here.offsetHeight > rows.scrollTop + rows.clientHeight)) here.scrollIntoView({ block: "center" });
  addEventListener("pagehide", () => sessionStorage.setItem("acuse-list" + location.search, String(rows.scrollTop)));
}
toEnd();
addEventListener("load", toEnd);
timeline?.addEventListener("scroll", () => { if (timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight < 90) { unseen = 0; pill($("new-said"), 0); } });
body.addEventListener("htmx:load", (event) => {
  // rows of a further page stay when the first page is fetched again
  if (event.detail.elt !== body && event.detail.elt.matches?.(".cv")) event.detail.elt.dataset.page = "";
});
