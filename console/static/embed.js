// Acuse in another site's page: a button, and the chat in a frame of its own. Nothing of the page is read.
// <script src="https://…/chat/embed.js" data-lang="es" data-color="#2443b3" data-side="right" async></script>
"use strict";
(() => {
  const script = document.currentScript;
  if (!script || document.querySelector("acuse-chat")) return;
  const WORDS = {
    es: { open: "Escríbenos", close: "Cerrar el chat", title: "Chat de atención", news: "mensajes nuevos" },
    en: { open: "Write to us", close: "Close the chat", title: "Support chat", news: "new messages" },
    pt: { open: "Escreva para nós", close: "Fechar o chat", title: "Chat de atendimento", news: "mensagens novas" },
  };
  const asked = (script.dataset.lang || document.documentElement.lang || navigator.language || "es").slice(0, 2).toLowerCase();
  const language = asked in WORDS ? asked : "es", words = WORDS[language];
  const label = script.dataset.label || words.open, side = script.dataset.side === "left" ? "left" : "right";
  const color = /^#[0-9a-f]{6}$/i.test(script.dataset.color || "") ? script.dataset.color : "#2443b3";
  const home = new URL("/chat", script.src);
  home.searchParams.set("embed", "1");
  home.searchParams.set("lang", language);

  // white or black letters, whichever reads better on the colour (WCAG relative luminance)
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";

  const holder = document.createElement("acuse-chat");
  const root = holder.attachShadow({ mode: "open" });
  const looks = new CSSStyleSheet();
  looks.replaceSync(`
    :host { all: initial; position: fixed; inset: auto; z-index: 2147483000; font: 500 15px/1.2 system-ui, sans-serif; }
    button { font: inherit; cursor: pointer; }
    button:focus-visible { outline: 3px solid ${color}; outline-offset: 3px; }
    .open { position: fixed; ${side}: 20px; bottom: calc(20px + env(safe-area-inset-bottom)); min-height: 52px; padding: 0 20px;
      border: 0; border-radius: 26px; background: ${color}; color: ${ink}; box-shadow: 0 4px 18px rgb(0 0 0 / .28); }
    .open[hidden], .box[hidden] { display: none; }
    .dot { display: inline-block; min-width: 20px; margin-left: 8px; padding: 2px 6px; border-radius: 10px; background: ${ink}; color: ${color}; }
    .box { position: fixed; ${side}: 20px; bottom: 20px; width: 400px; height: min(680px, calc(100dvh - 40px)); display: flex;
      flex-direction: column; border-radius: 16px; overflow: hidden; background: Canvas; box-shadow: 0 10px 40px rgb(0 0 0 / .35); }
    .shut { align-self: stretch; min-height: 44px; border: 0; background: ${color}; color: ${ink}; }
    iframe { flex: 1; width: 100%; border: 0; background: Canvas; }
    @media (max-width: 520px) { .box { inset: 0; width: auto; height: auto; border-radius: 0; } }
    @media print { :host { display: none; } }`);
  root.adoptedStyleSheets = [looks];

  const open = document.createElement("button");
  open.className = "open";
  open.type = "button";
  open.textContent = label;
  const box = document.createElement("div");
  box.className = "box";
  box.hidden = true;
  const shut = document.createElement("button");
  shut.className = "shut";
  shut.type = "button";
  shut.textContent = words.close;
  box.append(shut);
  root.append(open, box);
  let frame = null;

  function count(news) {
    open.replaceChildren(label);
    open.removeAttribute("aria-label");
    if (!news) return;
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.textContent = news;
    open.append(dot);
    open.setAttribute("aria-label", `${label}, ${news} ${words.news}`);
  }

  function show() {
    if (!frame) {
      frame = document.createElement("iframe");
      frame.title = script.dataset.title || words.title;
      frame.src = home.href;
      box.append(frame);
    }
    box.hidden = false;
    open.hidden = true;
    count(0);
    frame.focus();
    tell("shown");
  }

  function hide() {
    box.hidden = true;
    open.hidden = false;
    open.focus();
    tell("hidden");
  }

  const tell = (what) => frame?.contentWindow?.postMessage({ acuse: what }, home.origin);
  open.addEventListener("click", show);
  shut.addEventListener("click", hide);
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  window.addEventListener("message", (event) => {
    if (event.origin !== home.origin || event.source !== frame?.contentWindow) return;
    if (event.data?.acuse === "close") hide();
    if (event.data?.acuse === "news" && box.hidden) count(event.data.count | 0);
    if (event.data?.acuse === "ready") tell(box.hidden ? "hidden" : "shown");
  });
  const place = () => document.body.append(holder);
  if (document.body) place(); else addEventListener("DOMContentLoaded", place);
  if (script.dataset.open === "true") addEventListener("load", show, { once: true });
})();
