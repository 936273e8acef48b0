"""Reads, at launch, what programs in `exec.d` write: TOML of strings, by awk, which every Debian has.

In: `key = "value"` lines on standard input.  Out: `export` commands for a shell, or exit code 1 and why.
A run image need not have Python. Specification: buildpack.md, "Exec.d Output".
"""

EXEC_D = r"""# TOML with strings only -> `export NAME='value'` lines. Bytes, not characters: run it with LC_ALL=C.
function fail(why) { printf "%s (line %d)", why, line; failed = 1; exit 1 }
function peek() { return substr(text, at, 1) }
function skip_blanks() { while (at <= size && index(" \t\r", peek())) at++ }
function skip_rest(  c) {
  skip_blanks()
  if (peek() == "#") while (at <= size && peek() != "\n") at++
  if (at <= size && peek() != "\n") fail("after a value there is more")
}
function utf8(code) {
  if (code < 128) return sprintf("%c", code)
  if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
  if (code < 65536) return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
  return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64,
    128 + int(code / 64) % 64, 128 + code % 64)
}
function number(digits,  code, digit, i) {
  for (i = 0; i < digits; i++) {
    digit = index("0123456789abcdef", tolower(peek()))
    if (peek() == "" || !digit) fail("an escape has no " digits " hexadecimal digits")
    code = code * 16 + digit - 1
    at++
  }
  if (code == 0 || code > 1114111 || (code >= 55296 && code < 57344)) fail("an escape is no character")
  return utf8(code)
}
function escaped(long,  c) {
  c = peek()
  at++
  if (c == "n") return "\n"
  if (c == "t") return "\t"
  if (c == "r") return "\r"
  if (c == "b") return "\b"
  if (c == "f") return "\f"
  if (c == "\"" || c == "\\") return c
  if (c == "u") return number(4)
  if (c == "U") return number(8)
  at--
  if (long) {
    skip_blanks()
    if (peek() == "\n") {
      while (at <= size && index(" \t\r\n", peek())) { if (peek() == "\n") line++; at++ }
      return ""
    }
  }
  fail("\\" c " is no escape")
}
function string(  mark, long, value, c) {
  mark = peek()
  if (mark != "\"" && mark != "'") fail("a value is no string")
  long = substr(text, at, 3) == mark mark mark
  at += long ? 3 : 1
  if (long && substr(text, at, 2) == "\r\n") at++
  if (long && peek() == "\n") { at++; line++ }
  while (1) {
    if (at > size) fail("a string does not end")
    c = peek()
    if (long && substr(text, at, 3) == mark mark mark) {
      at += 3
      while (peek() == mark && extra < 2) { value = value mark; at++; extra++ }
      extra = 0
      return value
    }
    if (!long && c == mark) { at++; return value }
    if (c == "\n") { if (!long) fail("a string does not end on its line"); line++ }
    at++
    value = value (c == "\\" && mark == "\"" ? escaped(long) : c)
  }
}
function name(  start) {
  if (peek() == "\"" || peek() == "'") return string()
  start = at
  while (at <= size && peek() ~ /[A-Za-z0-9_-]/) at++
  return substr(text, start, at - start)
}
function quoted(value,  i, c, out) {
  for (i = 1; i <= length(value); i++) {
    c = substr(value, i, 1)
    out = out (c == "'" ? "'\\''" : c)
  }
  return "'" out "'"
}
{ text = text $0 "\n" }
END {
  size = length(text); at = 1; line = 1
  while (at <= size) {
    skip_blanks()
    c = peek()
    if (c == "\n") { at++; line++; continue }
    if (c == "#") { skip_rest(); continue }
    if (at > size) break
    key = name()
    if (key !~ /^[A-Za-z_][A-Za-z0-9_]*$/) fail("`" key "` is no name of a variable")
    skip_blanks()
    if (peek() != "=") fail("there is no = after " key)
    at++
    skip_blanks()
    found = found "export " key "=" quoted(string()) "\n"
    skip_rest()
  }
  if (!failed) printf "%s", found
}
"""
