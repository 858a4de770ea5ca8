// The page works as plain forms; this keeps it fresh and sends without leaving it.
"use strict";
const lang = document.body.dataset.lang;
let sample = "";

function foot(screen) { const box = screen.querySelector(".ph-b"); if (box) box.scrollTop = box.scrollHeight; }

const waiting = new Map();
async function refresh(name) {
  if (waiting.has(name)) { waiting.set(name, true); return; }
  waiting.set(name, false);
  try {
    const answer = await fetch(name === "diary" ? `/diary?lang=${lang}` : `/devices/${name}?lang=${lang}`);
    if (!answer.ok) return;
    const html = await answer.text();
    if (name === "diary") { document.getElementById("diary").innerHTML = html; return; }
    const old = document.getElementById(`screen-${name}`);
    if (!old) return;
    const held = old.contains(document.activeElement) && document.activeElement.className;
    old.outerHTML = html;
    const fresh = document.getElementById(`screen-${name}`);
    foot(fresh);
    if (held === "ph-b") fresh.querySelector(".ph-b").focus({ preventScroll: true });
    const frame = fresh.closest(".ph");
    frame.classList.toggle("down", fresh.dataset.failing !== "not");
    const select = frame.closest(".dev").querySelector("select");
    if (select && select !== document.activeElement) select.value = fresh.dataset.failing;
  } finally {
    const again = waiting.get(name);
    waiting.delete(name);
    if (again) refresh(name);
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target, device = form.closest(".dev");
  if (!device) return;
  event.preventDefault();
  const data = new FormData(form);
  if (event.submitter && event.submitter.name) data.set(event.submitter.name, event.submitter.value);
  if (form.classList.contains("ph-i")) {
    if (!data.get("text").trim() && !(data.get("file") && data.get("file").name)) return;
    form.reset();
    form.querySelectorAll(".has").forEach((one) => one.classList.remove("has"));
  }
  await fetch(form.action, { method: "POST", body: data });
  refresh(device.id.slice(4)); // the form itself may have been drawn anew meanwhile
});

document.addEventListener("change", (event) => {
  if (event.target.type === "file") event.target.parentElement.classList.toggle("has", event.target.files.length > 0);
  if (event.target.matches(".dev-f select")) event.target.form.requestSubmit();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest(".demo-sample");
  if (button) {
    const on = sample !== button.dataset.text;
    sample = on ? button.dataset.text : "";
    document.querySelectorAll(".demo-sample").forEach((one) => one.setAttribute("aria-pressed", String(on && one === button)));
    document.querySelectorAll(".ph-i input[name=text]").forEach((one) => { if (!one.value || one.dataset.sample === one.value) { one.value = sample; one.dataset.sample = sample; } });
  }
  const tab = event.target.closest(".demo-tab");
  if (tab) {
    const frame = tab.closest(".dev").querySelector(".ph");
    const open = frame.querySelector("iframe");
    if (open) { open.remove(); } else {
      const made = document.createElement("iframe");
      made.src = tab.dataset.src;
      made.title = tab.closest(".dev").querySelector("h2").textContent;
      frame.prepend(made);
    }
    frame.querySelector(".demo-gone").hidden = !open;
  }
});

document.querySelectorAll(".ph-s").forEach(foot);
const events = new EventSource("/events");
events.onmessage = (event) => { const name = event.data; if (name !== "diary") refresh(name); refresh("diary"); };
