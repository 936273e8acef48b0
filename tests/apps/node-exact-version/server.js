require("http").createServer((request, response) => response.end(`${process.version} npm ${require("fs").readFileSync("npm.txt")}`)).listen(process.env.PORT);
