// Draws the manager's chart: the specification comes with its numbers, the library is ours too. No inline script, no eval
// (ast: expressions are interpreted). Colours are tokens of the page, so that light and dark need no second drawing.
"use strict";
(() => {
  const NAMES = 132; // px beside the columns for axis and names
  const NARROWEST = 520;

  function library(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.type = "module"; // its names stay its own
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error("the drawing library did not come"));
      document.head.append(script);
    });
  }

  function showTip(figure) {
    return (handler, event, item, value) => {
      let tip = figure.querySelector(".chart-tip");
      if (value === undefined || value === null || value === "") {
        tip?.remove();
        return;
      }
      if (!tip) {
        tip = document.createElement("div");
        tip.className = "chart-tip";
        tip.setAttribute("aria-hidden", "true");
        figure.append(tip);
      }
      const box = figure.getBoundingClientRect();
      tip.textContent = value;
      tip.style.left = `${event.clientX - box.left + figure.scrollLeft}px`;
      tip.style.top = `${event.clientY - box.top}px`;
    };
  }

  async function draw(figure, spec) {
    const place = figure.querySelector(".chart-in");
    const width = Math.max(NARROWEST, figure.clientWidth) - NAMES;
    if (figure.drawn?.width === width) return;
    figure.drawn?.view.finalize();
    const { view } = await window.vegaEmbed(place, { ...spec, width }, {
      ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: showTip(figure),
    });
    figure.drawn = { width, view };
    place.removeAttribute("aria-busy");
  }

  async function start(figure) {
    try {
      const [answer] = await Promise.all([fetch(figure.dataset.chart), library(figure.dataset.library)]);
      if (!answer.ok) throw new Error(`the numbers of the chart did not come: ${answer.status}`);
      const spec = await answer.json();
      await draw(figure, spec);
      let waiting = 0;
      new ResizeObserver(() => {
        clearTimeout(waiting);
        waiting = setTimeout(() => draw(figure, spec), 120);
      }).observe(figure);
    } catch (fault) {
      const place = figure.querySelector(".chart-in");
      place.removeAttribute("aria-busy");
      place.removeAttribute("aria-hidden");
      figure.removeAttribute("role"); // it is words now, no picture
      const words = document.createElement("p");
      words.className = "muted";
      words.textContent = figure.dataset.failed;
      place.replaceChildren(words);
      console.warn(fault);
    }
  }

  document.querySelectorAll("[data-chart]").forEach(start);
})();
