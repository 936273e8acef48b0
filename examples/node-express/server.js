// Answers on $PORT and, when told to stop, finishes the requests it has.
import express from "express";
import { fileURLToPath } from "node:url";

const { PORT = "3000", DYNO = "local", GREETING = "Hello", HEROKU_APP_NAME = "node-express" } = process.env;
const release = process.env.HEROKU_RELEASE_VERSION ?? "unknown";
const app = express();

app.disable("x-powered-by");
app.use("/assets", express.static(fileURLToPath(new URL("./public", import.meta.url))));

app.get("/", (request, response) => {
  response.type("html").send(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${HEROKU_APP_NAME}</title>
<link rel="stylesheet" href="/assets/style.css"></head>
<body><main><h1>${GREETING} from ${HEROKU_APP_NAME}</h1>
<p>${DYNO}, release ${release}, Node.js ${process.version}</p></main></body></html>
`);
});

app.get("/about.json", (request, response) => {
  response.json({ app: HEROKU_APP_NAME, instance: DYNO, release, node: process.version });
});

app.get("/health", (request, response) => {
  response.type("text").send("ok\n");
});

const server = app.listen(Number(PORT), "0.0.0.0", () => console.log(`listening on ${PORT}`));

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    console.log(`${signal}: finishing`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
