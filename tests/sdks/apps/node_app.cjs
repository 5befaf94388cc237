"use strict";
// A Node.js server with the SDK: node node_app.cjs DSN [tunnel]
const Sentry = require("@sentry/node");

const [dsn, tunnel] = process.argv.slice(2);
Sentry.init({
  dsn,
  tunnel,
  release: "mailer@7",
  environment: "test",
  tracesSampleRate: 1,
  enableLogs: true,
  beforeSend: (event) => (event.message === "unwanted chatter" ? null : event),
});

const http = require("node:http");

function parse(order) {
  const password = "hunter2"; // stays here
  return JSON.parse(order) && password;
}

async function serve() {
  const server = http.createServer((request, response) => {
    try {
      if (request.url.startsWith("/orders")) parse("{broken");
      response.end("ok");
    } catch (error) {
      Sentry.captureException(error);
      response.writeHead(500).end("failed");
    }
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const site = `http://127.0.0.1:${server.address().port}`;
  await (await fetch(`${site}/orders?card=4111111111111111`)).text();
  await (await fetch(`${site}/about`)).text();
  server.close();
}

async function main() {
  await serve();
  Sentry.withScope((scope) => {
    scope.setUser({ id: "4711", email: "alice@example.org" });
    scope.setTag("component", "Mailer");
    scope.addBreadcrumb({ category: "queue", message: "took a letter", level: "info" });
    scope.addAttachment({ filename: "letter.txt", data: "Dear Bob\npassword=hunter2", contentType: "text/plain" });
    scope.addAttachment({ filename: "big.log", data: "x".repeat(40000) });
    Sentry.captureMessage("the queue is long", "warning");
  });
  Sentry.captureMessage("unwanted chatter");
  Sentry.captureFeedback({ message: "My letter never came.", name: "Alice", email: "alice@example.org" });
  await Sentry.startSpan({ name: "send letters", op: "queue.process" }, async () => {});
  const schedule = { type: "interval", value: 10, unit: "minute" };
  Sentry.withMonitor("send-letters", () => {}, { schedule, checkinMargin: 2, maxRuntime: 5, timezone: "Europe/Vienna" });
  try {
    Sentry.withMonitor("empty-bin", () => { throw new RangeError("the bin is gone"); });
  } catch (error) {
    Sentry.captureException(error);
  }
  Sentry.logger.info("all letters sent");
  Sentry.startSession();
  Sentry.endSession();
  await Sentry.flush(10000); // what it dropped itself it tells when the process ends
}

main();
