"use strict";
// The steps of a policy: shows the fields that the kind of a step asks for. Without this script all of them stand
// there, and the server says which one is missing.
{
  const ASKED = {
    people: ["users"], round_robin: ["users"], team: ["team"], schedule: ["schedule"], schedule_next: ["schedule"],
    channel: ["channel"], webhook: ["channel"], gate: [],
  };
  const WHOM = ["users", "team", "schedule", "channel"];
  const GATE = 2; // the third set of fields

  // A field alone in its row is the row's; one of several has a box of its own. What was refused stays in sight.
  const place = (step, name) => step.querySelector(`.form-row.field-${name}, .fieldBox.field-${name}`);
  const refused = (part) => part.querySelector(".errorlist") !== null;

  const show = (step, kind) => {
    for (const name of WHOM) {
      const part = place(step, name);
      if (part) part.classList.toggle("hidden", kind in ASKED && !ASKED[kind].includes(name) && !refused(part));
    }
    step.querySelectorAll("fieldset").forEach((part, n) => {
      if (n > 0) part.classList.toggle("hidden", (n === GATE) !== (kind === "gate") && !refused(part));
    });
  };

  const follow = (step) => {
    const kind = step.querySelector("select[name$='-kind']");
    if (!kind || step.classList.contains("empty-form")) return;
    kind.addEventListener("change", () => show(step, kind.value));
    show(step, kind.value);
  };

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".inline-related").forEach(follow));
  document.addEventListener("formset:added", (event) => follow(event.target));
}
