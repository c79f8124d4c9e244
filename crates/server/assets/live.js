// Keeps the page live, and says so when it no longer is.
//
// The witness streams "changed" (at most once a second) and "tick" (every five seconds). On "changed" the page fetches itself again and
// htmx swaps the part with id "live". When the stream breaks, or stays silent for 15 seconds, what is shown stays readable and is
// marked as stale: an old figure must never look like a present one.
"use strict";
(() => {
  const SILENCE_MS = 15000;
  const status = document.getElementById("live-status");
  const banner = document.getElementById("stale-banner");
  if (!status || !banner) return;
  let lastHeard = Date.now();
  let stale = false;

  const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

  function heard() {
    lastHeard = Date.now();
    if (status.textContent !== "Live") status.textContent = "Live";
    if (!stale) return;
    stale = false;
    document.body.classList.remove("stale");
    banner.hidden = true;
    htmx.trigger(document.body, "changed");
  }

  function lost() {
    if (stale) return;
    stale = true;
    document.body.classList.add("stale");
    banner.textContent = `Stale since ${clock(lastHeard)}: the witness does not answer. What you see is the last known state; replication between agents may go on. Trying again.`;
    banner.hidden = false;
    status.textContent = `Stale since ${clock(lastHeard)}`;
  }

  // A browser has six connections to a witness. Pages that it keeps for the way back must not hold one each, or the seventh page waits.
  let events;
  function listen() {
    events = new EventSource("/dashboard/live");
    events.addEventListener("tick", heard);
    events.addEventListener("open", heard);
    events.addEventListener("changed", () => {
      heard();
      if (!document.hidden) htmx.trigger(document.body, "changed");
    });
    events.addEventListener("error", lost);
  }
  listen();
  window.addEventListener("pagehide", () => events.close());
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    lastHeard = Date.now();
    listen();
    htmx.trigger(document.body, "changed");
  });
  setInterval(() => { if (Date.now() - lastHeard > SILENCE_MS) lost(); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !stale) htmx.trigger(document.body, "changed"); });
  // A session that has ended answers with the login page; show it instead of swapping nothing in.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.responseURL.endsWith("/login")) window.location.reload();
  });
  document.body.addEventListener("htmx:sendError", lost);

  // What a person has done to the page outlives a refresh: what was typed, how far lists are scrolled, where the keyboard is. htmx gives the focus back to
  // elements with an id; for the others the one that looks the same, counted from the top, has to do.
  const live = () => document.getElementById("live");
  const fields = () => live().querySelectorAll("input[id]:not([type=hidden]), textarea[id], select[id]");
  const alike = (element) => [...live().querySelectorAll(element.localName)].filter((other) =>
    other.getAttribute("href") === element.getAttribute("href") && other.textContent === element.textContent);
  let kept = null;
  document.body.addEventListener("htmx:beforeSwap", () => {
    const focused = document.activeElement;
    const within = focused && focused !== live() && live().contains(focused);
    kept = {
      values: [...fields()].filter((field) => field.value !== field.defaultValue).map((field) => [field.id, field.value]),
      scrolled: [...live().querySelectorAll(".scroll[id]")].map((list) => [list.id, list.scrollTop, list.scrollLeft]),
      id: within ? focused.id : "",
      looks: within ? { element: focused, place: alike(focused).indexOf(focused) } : null,
      selection: within && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null,
    };
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    if (!kept) return;
    for (const [id, value] of kept.values) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    for (const [id, top, left] of kept.scrolled) document.getElementById(id)?.scrollTo(left, top);
    if (kept.looks) {
      const again = (kept.id && document.getElementById(kept.id)) || alike(kept.looks.element)[kept.looks.place];
      // Where it is gone, the content as a whole: not the top of the page.
      (again || live()).focus({ preventScroll: true });
      if (again && kept.selection && kept.selection[0] !== null) again.setSelectionRange(...kept.selection);
    }
    kept = null;
  });
})();
