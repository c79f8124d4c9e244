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

  const events = new EventSource("/dashboard/live");
  events.addEventListener("tick", heard);
  events.addEventListener("open", heard);
  events.addEventListener("changed", () => {
    heard();
    if (!document.hidden) htmx.trigger(document.body, "changed");
  });
  events.addEventListener("error", lost);
  setInterval(() => { if (Date.now() - lastHeard > SILENCE_MS) lost(); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !stale) htmx.trigger(document.body, "changed"); });
  // A session that has ended answers with the login page; show it instead of swapping nothing in.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.responseURL.endsWith("/login")) window.location.reload();
  });
  document.body.addEventListener("htmx:sendError", lost);
})();
