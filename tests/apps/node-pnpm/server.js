const http = require("http");
const ms = require("ms");
const dev = (() => { try { return require.resolve("escape-html") ? "present" : ""; } catch { return "absent"; } })();

http
  .createServer((request, response) => response.end(`node ${process.version} ms ${ms("2 days")} dev ${dev} ${process.env.NODE_ENV}`))
  .listen(process.env.PORT);
