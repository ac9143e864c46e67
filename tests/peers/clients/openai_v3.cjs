// OpenAI's client for Node as it was at 3.2.1, which knows no streams: axios hands out the bytes.
"use strict";

const { Configuration, OpenAIApi } = require("openai-v3");

const [, , basePath, apiKey, model] = process.argv;
const api = new OpenAIApi(new Configuration({ apiKey, basePath }));

(async () => {
  const { data, headers } = await api.createChatCompletion(
    { model, messages: [{ role: "user", content: "hi" }], stream: true },
    { responseType: "stream" },
  );
  let stream = "";
  data.setEncoding("utf-8");
  for await (const text of data) stream += text;
  const frames = stream.split("\n\n").filter(Boolean);
  const values = frames.map((frame) => frame.replace(/^data: /, ""));
  const done = values.pop();
  const chunks = values.map((value) => JSON.parse(value));
  const content = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  console.log(JSON.stringify({ type: headers["content-type"], content, done }));
})();
