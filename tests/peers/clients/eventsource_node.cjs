// npm's eventsource: prints each event of a URL as a line of JSON, to `[DONE]` or a final error.
"use strict";

const { EventSource } = require("eventsource");

const source = new EventSource(process.argv[2]);
source.onmessage = ({ data, lastEventId }) => {
  console.log(JSON.stringify({ data, lastEventId }));
  if (data === "[DONE]") source.close();
};
source.onerror = ({ code }) => {
  if (source.readyState === source.CLOSED) console.log(JSON.stringify({ status: code ?? null }));
};
