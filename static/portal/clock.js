"use strict";
// Elements with data-clock="<ISO time>" count up as HH:MM:SS, or as HH:MM once a minute under reduced motion.
// With data-clock-short the first hour is MM:SS.
// Without script the server's words stay.
{
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const two = (n) => String(n).padStart(2, "0");
  const words = (seconds, short) => {
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    if (short && !h && !calm.matches) return `${two(m)}:${two(s)}`;
    return calm.matches ? `${two(h)}:${two(m)}` : `${two(h)}:${two(m)}:${two(s)}`;
  };
  const tick = () => {
    for (const clock of document.querySelectorAll("[data-clock]")) {
      const began = Date.parse(clock.dataset.clock);
      if (Number.isNaN(began)) continue;
      const said = words(Math.max(0, Math.floor((Date.now() - began) / 1000)), "clockShort" in clock.dataset);
      if (clock.textContent !== said) clock.textContent = said;
    }
  };
  if (document.querySelector("[data-clock]")) {
    tick();
    setInterval(tick, 1000);
  }
}
