// Node's own http module.
"use strict";

require("./script.cjs").serve(async (request, response, items) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
    for await (const { comment, data, ...fields } of items) {
        if (comment) response.write(`: ${comment}\n\n`);
        else {
            const lines = data.split("\n").map((line) => `data: ${line}\n`);
            const others = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`);
            response.write(others.join("") + lines.join("") + "\n");
        }
    }
    response.end();
});
