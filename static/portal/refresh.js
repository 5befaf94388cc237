"use strict";
// Fetches the page again every data-refresh seconds and replaces the children of the marked element. It waits while
// somebody works in it (a field has the focus, holds text or is ticked, or a button has the focus), while the page is
// hidden, and while the switch is off. An answer that is not this page, such as the sign-in, changes nothing.
{
  const part = document.querySelector("[data-refresh]");
  const knob = document.querySelector("[data-refresh-switch]");
  const OFF = "portal-refresh-off";
  const remembered = () => { try { return localStorage.getItem(OFF); } catch { return null; } };
  const remember = (off) => { try { off ? localStorage.setItem(OFF, "1") : localStorage.removeItem(OFF); } catch { /* for this page only */ } };

  const touched = (field) => (/^(checkbox|radio)$/.test(field.type) ? field.checked !== field.defaultChecked : field.type !== "hidden" && "defaultValue" in field && field.value !== field.defaultValue);
  const inUse = () => part.contains(document.activeElement) || [...part.querySelectorAll("input, textarea")].some(touched)
    || part.querySelector("details[open][data-keep]") !== null || document.querySelector(".sheet:popover-open") !== null;
  const on = () => !(knob && !knob.checked) && !document.hidden && !inUse();

  const fetched = async () => {
    const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error", headers: { Accept: "text/html" } });
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  const swap = (page) => {
    const fresh = page.querySelector("[data-refresh]");
    if (!fresh || !on()) return;
    part.replaceChildren(...fresh.childNodes);
    document.title = page.title;
    for (const place of [".head .lede", ".tasks"]) {
      const [old, anew] = [document.querySelector(place), page.querySelector(place)];
      if (old && anew && !old.contains(document.activeElement)) old.replaceChildren(...anew.childNodes);
    }
    part.dispatchEvent(new CustomEvent("portal:refreshed", { bubbles: true }));
  };
  const turn = async () => {
    if (!on()) return;
    try {
      const page = await fetched();
      if (page) swap(page);
      part.classList.toggle("is-stale", !page);
    } catch {
      part.classList.add("is-stale");
    }
  };

  if (part) {
    if (knob) {
      knob.checked = !remembered();
      knob.addEventListener("change", () => remember(!knob.checked));
    }
    setInterval(turn, Math.max(5, Number(part.dataset.refresh) || 30) * 1000);
  }
}
