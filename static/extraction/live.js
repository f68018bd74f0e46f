// Keeps a page of the dashboard true without loading it again: asks each two seconds while it is looked at, changes what has
// changed, and says plainly when it could not. What is not in the answer (actions, history) is taken from the page itself.

(() => {
  const root = document.querySelector("[data-live]");
  const EVERY = 2_000;
  const PATIENCE = 10_000;
  const fresh = document.querySelector("[data-fresh]");
  const stale = document.querySelector("[data-stale]");
  const timeZone = document.querySelector(".dash").dataset.zone;
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone });
  let etag = "";
  let updated = new Date();
  let timer = 0;
  let asking = false;

  const told = (element) => element.dataset.words.replace("{time}", clock.format(updated));

  function setText(element, value) {
    const text = String(value ?? "");
    if (element.textContent !== text) element.textContent = text;
    // Paragraphs that say something only sometimes are not there when they do not.
    if (element.tagName === "P") element.hidden = text === "";
  }

  function showCard(card) {
    for (const place of document.querySelectorAll(`[data-service="${card.service}"]`)) {
      if ("process" in place.dataset) place.dataset.process = card.process;
      place.dataset.canary = card.canary;
      for (const field of place.querySelectorAll("[data-field]")) setText(field, card[field.dataset.field]);
      for (const bar of place.querySelectorAll("[data-share]")) bar.style.setProperty("--share", card.share);
      place.querySelectorAll("[data-lane] > li").forEach((item, index) => {
        item.className = index < card.position ? "past" : index === card.position ? "now" : "";
        item.toggleAttribute("aria-current", false);
        if (index === card.position) item.setAttribute("aria-current", "step");
      });
    }
  }

  function showBoard(board) {
    board.services.forEach(showCard);
    for (const figure of board.figures.shown) {
      const place = document.querySelector(`[data-figure="${figure.name}"]`);
      setText(place.querySelector('[data-field="value"]'), figure.value);
      setText(place.querySelector('[data-field="note"]'), figure.note);
    }
    setText(document.querySelector('[data-board="problem"]'), board.problem);
  }

  // Parts that a reader has unfolded stay so.
  function replace(part, other) {
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    part.replaceChildren(...other.childNodes);
    part.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? one.open; });
  }

  async function renewParts(names) {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok || answer.redirected) throw new Error("another page");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = page.querySelector(`[data-part="${part.dataset.part}"]`);
      const isCharts = part.dataset.part === "charts";
      if (other && (!isCharts || names.join() !== chartNames().join())) {
        replace(part, other);
        if (isCharts) document.dispatchEvent(new CustomEvent("dashboard:redraw"));
      }
    }
  }

  const chartNames = () => [...document.querySelectorAll("[data-chart]")].map((chart) => chart.dataset.chart);

  async function showService(live) {
    if (live.revision !== root.dataset.revision) {
      await renewParts(live.charts.map((chart) => chart.name));
      root.dataset.revision = live.revision;
    }
    showCard(live.card);
    document.dispatchEvent(new CustomEvent("dashboard:live", { detail: live.charts }));
  }

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    clearTimeout(timer);
    try {
      const headers = { Accept: "application/json", ...(etag && { "If-None-Match": etag }) };
      const answer = await fetch(root.dataset.live, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (answer.redirected || (!answer.ok && answer.status !== 304)) throw new Error(`status ${answer.status}`);
      if (answer.status !== 304) {
        const live = await answer.json();
        await ("services" in live ? showBoard(live) : showService(live));
        etag = answer.headers.get("ETag") ?? "";
      }
      updated = new Date();
      setText(fresh, told(fresh));
      stale.hidden = true;
      fresh.hidden = false;
    } catch {
      stale.textContent = told(stale);
      stale.hidden = false;
      fresh.hidden = true;
    }
    asking = false;
    timer = setTimeout(ask, EVERY);
  }

  if (root) {
    timer = setTimeout(ask, EVERY);
    document.addEventListener("visibilitychange", ask);
  }
})();
