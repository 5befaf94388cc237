"use strict";
// Reports a page's uncaught errors and unhandled promise rejections to the portal that serves this file.
//   <script src="https://portal.example.org/reporter.js" data-key="…" data-component="Shop" data-release="1.4.2"
//           defer></script>
// data-environment adds the environment, data-resources also reports scripts, styles and images that do not load.
// By hand: portal.report(error, {component, severity, tags, user, anything}). Nothing in here throws into the page.
(() => {
  const script = document.currentScript;
  if (!script || !script.src || !script.dataset.key) return;
  const { key, component, release, environment, resources } = script.dataset;
  const door = new URL("api/errors/client?sentry_key=" + encodeURIComponent(key), script.src).href;
  const MOST_A_MINUTE = 10, MINUTE = 60000, KEEPALIVE_BYTES = 60000;
  const seen = new Map(); // what was reported, and when
  let sent = []; // when
  let silentUntil = 0;
  let busy = false;

  const text = (value) => {
    try {
      if (typeof value === "string") return value;
      const json = typeof value === "object" && value && !(value instanceof Error) ? JSON.stringify(value) : "";
      return json && json !== "{}" ? json : String(value);
    } catch {
      return "something that cannot be shown";
    }
  };

  const mayReport = (what, now) => {
    sent = sent.filter((at) => now - at < MINUTE);
    if (now < silentUntil || sent.length >= MOST_A_MINUTE || now - (seen.get(what) ?? -MINUTE) < MINUTE) return false;
    if (seen.size > 100) seen.clear();
    seen.set(what, now);
    sent.push(now);
    return true;
  };

  // Chrome writes name and message above the frames, Firefox and Safari do not.
  const stackOf = (name, message, stack) =>
    !stack || stack.startsWith(name) ? stack : name + ": " + message.split("\n")[0] + "\n" + stack;

  const recordOf = (error, extra, place) => {
    const isError = error && typeof error === "object" && "message" in error;
    const name = (isError && text(error.name)) || "Error";
    const message = (isError ? text(error.message) : text(error)).slice(0, 2000) || name;
    const stack = stackOf(name, message, isError && error.stack ? text(error.stack).slice(0, 16000) : place);
    const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
    return {
      component, release, environment, errorType: name, message, stackTrace: stack || undefined, eventId: id,
      timestamp: new Date().toISOString(), route: location.pathname, url: location.origin + location.pathname, ...extra,
    };
  };

  const bodyOf = (record, bare) => {
    try {
      const body = JSON.stringify(record);
      if (body.length < KEEPALIVE_BYTES) return body;
    } catch { /* rings and the like in what the page added */ }
    return JSON.stringify(bare);
  };

  // A text as body: browsers need not ask beforehand, and the page may close meanwhile.
  const send = (body) => {
    if (typeof fetch !== "function" || document.visibilityState === "hidden") {
      if (navigator.sendBeacon && navigator.sendBeacon(door, body)) return;
    }
    fetch(door, { method: "POST", body, keepalive: true, credentials: "omit" }).then(
      (answer) => {
        if (answer.status === 429 || answer.status === 503) {
          silentUntil = Date.now() + 1000 * (Number(answer.headers.get("Retry-After")) || 60);
        }
      },
      () => {},
    );
  };

  const report = (error, extra, place) => {
    if (busy) return "";
    busy = true;
    try {
      const bare = recordOf(error, {}, place);
      if (!mayReport(bare.message + (bare.stackTrace || "").slice(0, 500), Date.now())) return "";
      send(bodyOf(extra ? recordOf(error, { ...extra, eventId: bare.eventId }, place) : bare, bare));
      return bare.eventId;
    } catch {
      return "";
    } finally {
      busy = false;
    }
  };

  addEventListener("error", (event) => {
    const target = event.target;
    if (target && target !== window && target.tagName) {
      if (resources !== undefined && target !== script) {
        report({ name: "ResourceError", message: "could not load " + target.tagName.toLowerCase() + " " +
          text(target.src || target.href).split(/[?#]/)[0] });
      }
    } else if (event.error || event.filename) { // else: of another origin, and nothing is said about it
      const place = "    at " + event.filename + ":" + event.lineno + ":" + event.colno;
      report(event.error ?? { name: "Error", message: event.message }, undefined, place);
    }
  }, true);
  addEventListener("unhandledrejection", (event) => {
    const reason = event.reason;
    report(reason && reason.message !== undefined ? reason : { name: "UnhandledRejection", message: text(reason) });
  });

  const own = window.portal;
  window.portal = own && typeof own === "object" && !own.nodeType ? own : {};
  window.portal.report = (error, extra) => report(error, extra);
})();
