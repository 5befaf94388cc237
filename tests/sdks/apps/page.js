// A page with the SDK; esbuild makes one file of it. What it is to do stands on its buttons.
import * as Sentry from "@sentry/browser";

const { dsn, tunnel } = document.currentScript.dataset;
Sentry.init({
  dsn,
  tunnel,
  release: "front@5",
  environment: "test",
  tracesSampleRate: 1,
  integrations: [Sentry.browserTracingIntegration(), Sentry.browserSessionIntegration()],
  beforeSend: (event) => (event.message === "unwanted chatter" ? null : event),
});

function addToBasket(item) {
  console.info(`adding ${item.name}`); // a breadcrumb
}

const act = {
  fail: () => addToBasket(undefined),
  reject: () => Promise.reject(new RangeError("no such page")),
  handled: () => Sentry.withScope((scope) => {
    scope.setUser({ id: "4711", email: "alice@example.org" });
    scope.setTag("component", "Basket");
    scope.setTag("tenant", "acme");
    scope.addAttachment({ filename: "basket.json", data: JSON.stringify({ lamps: 2, password: "hunter2" }) });
    window.eventId = Sentry.captureException(new TypeError("the basket is empty"));
  }),
  feedback: () => Sentry.captureFeedback({
    message: "I cannot pay.", name: "Alice", email: "alice@example.org", associatedEventId: window.eventId,
  }),
  drop: () => Sentry.captureMessage("unwanted chatter"),
};
for (const [name, work] of Object.entries(act)) document.getElementById(name).addEventListener("click", work);
window.flush = () => Sentry.flush(10000);
