require("http").createServer((request, response) => response.end(require("@house/rules"))).listen(process.env.PORT);
