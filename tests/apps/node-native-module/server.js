const adder = require("adder");

require("http").createServer((request, response) => response.end(`sum ${adder.add(40, 2)}`)).listen(process.env.PORT);
