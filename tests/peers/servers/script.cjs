// The same as script.py, for Node: routes and events, but not how an event is written.
"use strict";

const http = require("node:http");
const items = require("./events.json");

const gates = new Map();

// A promise, and the function that fulfils it.
function gate(name) {
    if (!gates.has(name)) {
        let open;
        const opened = new Promise((resolve) => (open = resolve));
        gates.set(name, { open, opened });
    }
    return gates.get(name);
}

async function* itemsBehind(lastEventID, gateName) {
    let behind = 1;
    if (lastEventID) behind += items.findIndex((item) => item.id === lastEventID);
    else {
        yield items[0];
        await gate(gateName).opened;
    }
    yield* items.slice(behind);
}

async function textOf(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString()).text;
}

// Serve, with `stream(request, response, items)` to write an event stream, and print the port.
exports.serve = (stream) => {
    const server = http.createServer(async (request, response) => {
        const url = new URL(request.url, "http://localhost");
        const lastEventID = request.headers["last-event-id"];
        const name = url.searchParams.get("gate");
        switch (url.pathname) {
            case "/events":
                if (lastEventID === items.at(-1).id) return response.writeHead(204).end();
                return stream(request, response, itemsBehind(lastEventID, name));
            case "/echo": {
                const id = String(request.socket.remotePort);
                return stream(request, response, [{ id, data: await textOf(request) }]);
            }
            case "/refused":
                response.writeHead(401, { "Content-Type": "application/json" });
                return response.end('{"error": "no key"}');
            case "/open":
                gate(name).open();
                return response.end();
            default:
                return response.writeHead(404).end();
        }
    });
    server.keepAliveTimeout = 60_000; // longer than any test takes
    server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log(server.address().port));
};
