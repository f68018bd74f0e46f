// What every page does: keeps the count of unread messages fresh, opens parts of other pages in place, sends a form once.

const EVERY = 30_000;

const badge = document.querySelector("[data-unread]");

async function count() {
  if (document.hidden) return;
  try {
    const answer = await fetch(badge.dataset.unread, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const { unread } = await answer.json();
    badge.querySelector("[data-count]").textContent = unread > 99 ? "99+" : unread;
    badge.hidden = unread === 0;
  } catch {
    // The next round asks again.
  }
}

if (badge) {
  count();
  setInterval(count, EVERY);
  document.addEventListener("visibilitychange", count);
}

for (const place of document.querySelectorAll("[data-load]")) {
  const link = place.querySelector("a");
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const answer = await fetch(place.dataset.load);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = answer.ok && page.querySelector(place.dataset.part);
      if (!part) throw new Error("another page");
      place.replaceChildren(part);
      part.tabIndex = -1;
      part.focus();
    } catch {
      location.assign(link.href);
    }
  });
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
}

// A page that the back button brings out of memory may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) delete form.dataset.sent;
});

document.querySelector("[aria-invalid=true]")?.focus();
