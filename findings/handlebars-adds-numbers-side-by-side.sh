#!/usr/bin/env bash
# Handlebars.js with noEscape adds up numbers that stand side by side.
#
# One would guess: {{a}}{{b}} with a = 1 and b = 2 renders to "12", with or without escaping.
# What happens: with {noEscape: true}, a template that begins with two or more tags is compiled to
# a JavaScript expression that joins the bare values with "+", so numbers are added: "3". Booleans
# too: {{a}}{{yes}} is "2". A text before the tags makes it "12" again.
# Seen with handlebars 4.7.10 (npm). Source: lib/handlebars/compiler/javascript-compiler.js,
# opcode "append", which leaves out escapeExpression and with it the conversion to a string.
set -euo pipefail
command -v npm >/dev/null || { echo "needs Node.js and npm"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" handlebars@4.7.10 >/dev/null
cd "$folder"
node -e '
const Handlebars = require("handlebars");
const data = { a: 1, b: 2, yes: true };
const seen = [];
for (const source of ["{{a}}{{b}}", "{{a}}{{yes}}", "n: {{a}}{{b}}"]) {
  const escaped = Handlebars.compile(source)(data);
  const plain = Handlebars.compile(source, { noEscape: true })(data);
  console.log(JSON.stringify({ source, escaped, noEscape: plain }));
  seen.push(String(plain));
}
const expected = ["3", "2", "n: 12"];
if (JSON.stringify(seen) !== JSON.stringify(expected)) {
  console.log("changed: expected", expected, "saw", seen);
  process.exit(1);
}
console.log("as described: with noEscape, numbers side by side are added up");
'
