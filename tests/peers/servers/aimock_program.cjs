// aimock with the answers of aimock.json; reports its port.
"use strict";

const { LLMock } = require("@copilotkit/aimock");

const mock = new LLMock({ port: Number(process.argv[2]), logLevel: "warn" });
mock.loadFixtureFile(require("node:path").join(__dirname, "aimock.json"));
mock.start().then((url) => console.log(new URL(url).port));
