module.exports = "no shoes for " + require("ms")("1h");
