const fs = require("fs");
const zlib = require("zlib");
const page = `<h1>built with ms ${require("ms")("1h")}</h1>` + "<p>window</p>".repeat(500);
fs.mkdirSync("dist", { recursive: true });
fs.writeFileSync("dist/index.html", page);
fs.writeFileSync("dist/index.html.br", zlib.brotliCompressSync(page));
fs.writeFileSync("dist/index.html.gz", zlib.gzipSync(page));
fs.writeFileSync("dist/_redirects", "/*  /index.html  200\n");
