// Node with better-sse, which writes data as JSON: its "data" is always one line.
"use strict";

const { createSession } = require("better-sse");

require("./script.cjs").serve(async (request, response, items) => {
    const session = await createSession(request, response, { retry: null });
    for await (const { comment, data, event, id } of items) {
        if (comment) await session.batch((buffer) => buffer.comment(comment).dispatch());
        else session.push(data, event, id);
    }
    response.end();
});
