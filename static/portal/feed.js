"use strict";
// The live feed: asks for newer rows every few seconds and puts them in place. It rests while it is paused, while the
// page is hidden and while a row has the focus; what is new is said in one polite line, not row by row.
{
  const feed = document.querySelector("[data-feed]");
  const rows = feed?.querySelector("[data-feed-rows]");
  const status = feed?.querySelector("[data-feed-status]");
  const knob = feed?.querySelector("[data-feed-pause]");
  let paused = false;
  let asking = false;

  const ids = (list) => [...list.querySelectorAll("[data-id]")].map((row) => row.dataset.id);
  const resting = () => paused || asking || document.hidden || rows.contains(document.activeElement);
  const say = (words) => { if (status.textContent !== words) status.textContent = words; };

  const put = (text) => {
    const fresh = new DOMParser().parseFromString(`<ol>${text}</ol>`, "text/html").querySelector("ol");
    const known = new Set(ids(rows));
    const anew = ids(fresh).filter((id) => !known.has(id)).length;
    if (!anew || inHand()) return;
    rows.replaceChildren(...fresh.children);
    feed.querySelector("[data-feed-empty]")?.remove();
    say(anew === 1 ? "1 new error." : `${anew} new errors.`);
  };
  const inHand = () => paused || rows.contains(document.activeElement);

  const look = async () => {
    if (resting()) return;
    asking = true;
    const [latest] = ids(rows);
    try {
      const address = feed.dataset.feed + (latest ? `&after=${latest}` : "");
      const answer = await fetch(address, { credentials: "same-origin", redirect: "error", headers: { Accept: "text/html" } });
      if (answer.status === 200) put(await answer.text());
      else if (!answer.ok) say("Not answered; trying again.");
      feed.classList.toggle("is-stale", !answer.ok);
    } catch {
      say("Not reachable; trying again.");
      feed.classList.add("is-stale");
    } finally {
      asking = false;
    }
  };

  if (feed) {
    knob.hidden = false;
    knob.addEventListener("click", () => {
      paused = !paused;
      knob.setAttribute("aria-pressed", String(paused));
      say(paused ? "Paused." : "Going on.");
      look();
    });
    document.addEventListener("visibilitychange", look);
    setInterval(look, Math.max(2, Number(feed.dataset.feedSeconds) || 5) * 1000);
  }
}
