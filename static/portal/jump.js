"use strict";
// Keys: / search, g then a letter to go, a to the first thing to do, ? the list. Silent in fields and with
// modifiers; can be switched off in this browser (WCAG 2.1.4).
{
  const OFF = "portal-keys-off";
  const GOES = { t: "triage", i: "incident", e: "bug" };
  let waitingUntil = 0;

  const stored = () => { try { return localStorage.getItem(OFF); } catch { return null; } };
  const store = (off) => { try { off ? localStorage.setItem(OFF, "1") : localStorage.removeItem(OFF); } catch { /* no storage: on for this page */ } };
  const inField = (target) => target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

  const search = () => {
    const field = document.querySelector('[data-jump="/"]');
    const menu = document.getElementById("menu");
    if (!field) return false;
    if (menu && getComputedStyle(menu).display === "none") menu.showPopover();
    field.focus();
    field.select();
    return true;
  };
  const go = (key) => {
    const link = GOES[key] && document.querySelector(`.tasks a[data-icon="${GOES[key]}"]`);
    if (link) link.click();
    return Boolean(link);
  };
  // Focus only: a key must never acknowledge what nobody has read.
  const firstThing = () => {
    const button = document.querySelector("main .btn--primary, main .queue__do .btn, main .object-tools .btn");
    if (button) { button.focus(); button.scrollIntoView({ block: "nearest" }); }
    return Boolean(button);
  };
  const keys = () => {
    const sheet = document.getElementById("keys");
    if (sheet && sheet.togglePopover) sheet.togglePopover();
    return Boolean(sheet);
  };
  const ACTIONS = { "/": search, a: firstThing, "?": keys };

  document.addEventListener("keydown", (event) => {
    if (stored() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return;
    const waiting = event.timeStamp < waitingUntil;
    waitingUntil = 0;
    if (waiting ? go(event.key) : ACTIONS[event.key] && ACTIONS[event.key]()) event.preventDefault();
    else if (event.key === "g") waitingUntil = event.timeStamp + 1500;
  });

  const knob = document.querySelector("[data-keys-switch]");
  if (knob) {
    knob.checked = !stored();
    knob.addEventListener("change", () => store(!knob.checked));
  }
}
