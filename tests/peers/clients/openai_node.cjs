// OpenAI's own client for Node: what it makes of a chat, a tool call, a response, an error.
"use strict";

const OpenAI = require("openai");

const [, , baseURL, apiKey, model] = process.argv;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const question = (content) => [{ role: "user", content }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

async function chat(request) {
  const stream = client.chat.completions.stream({
    model,
    stream_options: { include_usage: true },
    ...request,
  });
  let deltas = "";
  stream.on("content", (delta) => (deltas += delta));
  const { choices, usage } = await stream.finalChatCompletion();
  const [{ message, finish_reason }] = choices;
  const calls = (message.tool_calls ?? []).map(({ function: f }) => [f.name, f.arguments]);
  return { deltas, content: message.content, calls, finish_reason, usage };
}

async function response() {
  const types = [];
  let text = "";
  for await (const event of await client.responses.create({ model, input: "hi", stream: true })) {
    types.push(event.type);
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  return { text, first: types[0], last: types.at(-1) };
}

async function failure() {
  const wrong = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 });
  try {
    await wrong.chat.completions.create({ model, messages: question("hi"), stream: true });
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status };
  }
}

(async () => {
  console.log(
    JSON.stringify({
      chat: await chat({ messages: question("hi") }),
      tools: await chat({ messages: question("get_weather please"), tools: [weather] }),
      response: await response(),
      failure: await failure(),
    }),
  );
})();
