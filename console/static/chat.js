// The chat: what you write is shown at once, kept on this device until the server has it, and sent in order.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const chat = $("chat"), log = $("log"), text = $("t"), files = $("files"), problem = $("problem");
  const words = JSON.parse(chat.dataset.words), query = chat.dataset.query, own = { "X-Acuse": "chat" };
  const STORE = "acuse.chat.", PATIENCE = 20000, TRY_AGAIN = 4000, VOICE = ["ack", "answer", "receipt"];
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("acuse.chat") : { postMessage() {} };
  const clock = new Intl.DateTimeFormat(chat.dataset.language, { hour: "numeric", minute: "2-digit", timeZone: chat.dataset.zone });
  let source = null, place = chat.dataset.after, queue = [], busy = false, later = 0, typing = 0, chosen = [], missed = 0, stick = true;
  const title = document.title;
  // in another site's page: that page says whether the chat is open there, and is told how much is new, nothing else
  const framed = "embedded" in chat.dataset && window.parent !== window;
  let folded = false;
  const unseen = () => document.hidden || folded;
  const tellSite = (what) => { if (framed) window.parent.postMessage({ acuse: what, count: missed }, "*"); };

  // --- bubbles ---
  const find = (key) => log.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const toEnd = () => { log.scrollTop = log.scrollHeight; stick = true; $("news").hidden = true; };
  const settleDown = () => { if (stick) toEnd(); };

  function built(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html; // drawn and escaped by our own server
    return holder.content.firstElementChild;
  }

  function show(bubble, { mine = false } = {}) {
    $("empty").hidden = true;
    log.append(bubble);
    if (mine || stick) toEnd(); else $("news").hidden = false;
  }

  function drawMine(one) {
    const bubble = $("mine").content.firstElementChild.cloneNode(true);
    bubble.dataset.key = "c-" + one.id;
    const said = bubble.querySelector(".wm");
    said.textContent = one.text;
    if (!one.text) said.remove();
    for (const file of one.files || []) {
      const line = document.createElement("p");
      line.className = "wfile";
      line.append(icon("file"), file.name);
      bubble.querySelector(".wm-t").before(line);
    }
    bubble.querySelector("time").dateTime = new Date(one.at).toISOString();
    bubble.querySelector("time").textContent = clock.format(one.at);
    show(bubble, { mine: true });
  }

  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("class", "i");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", chat.dataset.icons + "#i-" + name);
    svg.append(use);
    return svg;
  }

  const GLYPH = { sending: "clock", waiting: "clock", sent: "check", failed: "fail" };
  function mark(one, state, why) {
    const tick = find("c-" + one.id)?.querySelector(".tick");
    if (!tick || tick.dataset.state === state) return;
    tick.dataset.state = state;
    tick.classList.toggle("tick--bad", state === "failed");
    const word = document.createElement("span");
    word.className = "tick-w";
    word.textContent = why || words[state];
    tick.replaceChildren(icon(GLYPH[state]), word);
    if (state === "failed") {
      const again = document.createElement("button");
      again.type = "button";
      again.className = "link";
      again.textContent = words.retry;
      again.onclick = () => { queue.push(one); keep(one); mark(one, "sending"); flush(); text.focus(); };
      tick.append(again);
    }
  }

  // --- what is not with the server yet ---
  function keep(one) {
    if (!one.files) try { localStorage.setItem(STORE + one.id, JSON.stringify(one)); } catch { /* private window */ }
  }
  function forget(one) {
    queue = queue.filter((other) => other.id !== one.id);
    try { localStorage.removeItem(STORE + one.id); } catch { /* private window */ }
  }
  function recall() {
    try {
      const kept = Object.keys(localStorage).filter((key) => key.startsWith(STORE));
      return kept.map((key) => JSON.parse(localStorage.getItem(key))).sort((a, b) => a.at - b.at);
    } catch { return []; }
  }
  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function say(said, choice, held) {
    const one = { id: newId(), text: said, choice, at: Date.now(), files: held };
    queue.push(one);
    keep(one);
    drawMine(one);
    mark(one, "sending");
    for (const old of log.querySelectorAll(".wq")) settle(old, choice);
    flush();
  }

  function settle(group, choice) {
    for (const button of group.querySelectorAll("button")) {
      button.disabled = true;
      button.classList.toggle("on", button.value === choice);
    }
  }

  async function post(one) {
    const form = new FormData();
    form.set("client_id", one.id);
    form.set("text", one.text);
    if (one.choice) form.set("choice", one.choice);
    for (const file of one.files || []) form.append("files", file);
    const answer = await fetch("/chat/messages" + query, { method: "POST", headers: own, body: form });
    const type = answer.headers.get("content-type") || "";
    return { status: answer.status, ...(type.includes("json") ? await answer.json() : {}) };
  }

  async function flush() {
    if (busy) return;
    busy = true;
    clearTimeout(later);
    while (queue.length) {
      const one = queue[0];
      let answer;
      try { answer = await post(one); } catch { answer = { status: 0 }; }
      if (answer.status === 0 && one.files) {
        mark(one, "failed", words.files_kept); // a file cannot wait on this device
        forget(one);
      } else if (answer.status === 200) {
        mark(one, "sent");
        forget(one);
        sent(one);
      } else if (answer.status === 0 || answer.status === 429 || answer.status >= 500) {
        for (const waiting of queue) mark(waiting, "waiting", answer.problem);
        later = setTimeout(flush, TRY_AGAIN);
        break;
      } else {
        mark(one, "failed", answer.problem);
        forget(one);
      }
    }
    busy = false;
    network();
  }

  function sent(one) {
    if (!person()) awaitAnswer(true);
    tabs.postMessage("said");
    if (one.files) refresh();
    listen();
  }

  function awaitAnswer(on) {
    clearTimeout(typing);
    $("typing").hidden = !on;
    settleDown();
    if (on) typing = setTimeout(() => awaitAnswer(false), PATIENCE);
  }

  function network() {
    $("offline").firstElementChild.hidden = navigator.onLine && !queue.some((one) => find("c-" + one.id)?.querySelector('.tick[data-state="waiting"]'));
  }

  // --- what we are told ---
  function person() { // who speaks on our side: a person's name, or nothing while it is the bot
    const last = [...log.querySelectorAll(".wb")].findLast((one) => one.dataset.who === "agent" || VOICE.includes(one.dataset.kind));
    return last?.dataset.name;
  }
  function introduce() {
    const name = person();
    $("speaker").textContent = name ? words.person_speaks.replace("{name}", name) : words.notice;
    $("ai").toggleAttribute("data-person", Boolean(name));
  }

  function listen() {
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource("/chat/stream" + query + "&after=" + encodeURIComponent(place));
    source.onmessage = (event) => arrive(JSON.parse(event.data));
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, TRY_AGAIN); };
  }

  function arrive(one) {
    place = one.place;
    if (find(one.key)) return;
    if (one.kind !== "ack" && !queue.length) awaitAnswer(false);
    for (const old of log.querySelectorAll(".wq")) settle(old);
    show(built(one.html));
    introduce();
    if (unseen()) { document.title = `(${++missed}) ${title}`; tellSite("news"); }
    report();
  }

  async function refresh() {
    const answer = await fetch("/chat/history" + query).catch(() => null);
    if (!answer || !answer.ok) return;
    let at = log.firstElementChild.nextElementSibling;
    for (const one of await answer.json()) {
      const known = find(one.key), fresh = built(one.html);
      if (one.who !== "me") place = one.place;
      if (known && known.dataset.seen) fresh.dataset.seen = known.dataset.seen;
      if (!known) log.insertBefore(fresh, at);
      else if (!known.isEqualNode(fresh)) { if (known === at) at = fresh; known.replaceWith(fresh); }
      else { if (known === at) at = at.nextElementSibling; continue; }
      if (fresh === at) at = at.nextElementSibling;
      $("empty").hidden = true;
    }
    settleDown();
    introduce();
    report();
  }

  async function report() {
    const state = unseen() ? "delivered" : "read";
    const news = [...log.querySelectorAll('[data-seen=""], [data-seen="delivered"]')].filter((one) => one.dataset.seen !== state);
    for (let from = 0; from < news.length; from += 50) {
      const some = news.slice(from, from + 50), body = JSON.stringify({ ids: some.map((one) => one.dataset.id), state });
      const answer = await fetch("/chat/seen" + query, { method: "POST", headers: own, body }).catch(() => null);
      if (answer && answer.ok) for (const one of some) one.dataset.seen = state;
    }
  }

  // --- files ---
  function choose(added) {
    chosen = [...chosen, ...added];
    problem.textContent = "";
    if (chosen.length > Number(chat.dataset.files)) problem.textContent = words.files_count;
    if (chosen.reduce((sum, file) => sum + file.size, 0) > Number(chat.dataset.bytes)) problem.textContent = words.files_limit;
    $("chosen").hidden = !chosen.length;
    $("chosen").replaceChildren(...chosen.map((file) => {
      const line = document.createElement("li"), name = document.createElement("span"), drop = document.createElement("button");
      name.textContent = file.name;
      drop.type = "button";
      drop.className = "ib";
      drop.setAttribute("aria-label", `${words.detach}: ${file.name}`);
      drop.append(icon("close"));
      drop.onclick = () => { chosen = chosen.filter((other) => other !== file); choose([]); text.focus(); };
      line.append(icon("file"), name, drop);
      return line;
    }));
    files.value = "";
  }

  // --- hands ---
  const grow = () => { text.style.height = "auto"; text.style.height = Math.min(text.scrollHeight, 160) + "px"; };
  $("f").onsubmit = (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if ((!said && !chosen.length) || problem.textContent && chosen.length) return;
    problem.textContent = "";
    say(said, undefined, chosen.length ? chosen : undefined);
    text.value = "";
    chosen = [];
    choose([]);
    grow();
    text.focus();
  };
  $("h").onsubmit = (event) => { event.preventDefault(); say(chat.dataset.human); };
  log.onsubmit = (event) => {
    event.preventDefault();
    say(event.submitter.textContent, event.submitter.value);
    text.focus();
  };
  log.onclick = async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard?.writeText(button.dataset.copy);
    button.lastElementChild.textContent = words.copied;
  };
  log.onscroll = () => {
    stick = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    if (stick) $("news").hidden = true;
  };
  new ResizeObserver(settleDown).observe(log);
  log.addEventListener("load", settleDown, true); // a picture has come
  $("news").onclick = () => { toEnd(); text.focus(); };
  text.oninput = grow;
  text.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches) {
      event.preventDefault();
      $("f").requestSubmit();
    }
  };
  text.onpaste = (event) => { if (event.clipboardData.files.length) { event.preventDefault(); choose(event.clipboardData.files); } };
  files.onchange = () => { choose(files.files); text.focus(); };
  tabs.onmessage = () => { refresh(); listen(); };
  addEventListener("online", () => { network(); flush(); listen(); });
  addEventListener("offline", network);
  addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
  const looked = () => {
    if (!unseen()) { missed = 0; document.title = title; }
    report();
  };
  document.addEventListener("visibilitychange", looked);
  if (framed) {
    addEventListener("message", (event) => {
      if (event.source !== window.parent || !["shown", "hidden"].includes(event.data?.acuse)) return;
      folded = event.data.acuse === "hidden";
      if (!folded) text.focus();
      looked();
    });
    addEventListener("keydown", (event) => { if (event.key === "Escape") tellSite("close"); });
    tellSite("ready");
  }
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details[open]")) if (!open.contains(event.target)) open.open = false;
  });

  document.documentElement.classList.add("js");
  log.querySelector("noscript").remove();
  for (const one of recall()) {
    if (find("c-" + one.id)) { forget(one); continue; } // it had reached the server
    queue.push(one);
    drawMine(one);
    mark(one, "sending");
  }
  toEnd();
  grow();
  report();
  network();
  if (place || log.querySelector(".wb")) listen();
  flush();
})();
