// Asks Handlebars what each template of cases.json renders to, and writes judged.json.
//
//   npm install handlebars@4.7 --prefix /some/folder
//   node judge.mjs /some/folder/node_modules/handlebars
//
// SES: nothing is escaped, and a value that is not in the data is an error; conditions may ask for
// what is not there. `escaped` is what the same template gives with escaping, where that differs.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const Handlebars = createRequire(import.meta.url)(process.argv[2] ?? "handlebars");
const here = (name) => new URL(name, import.meta.url);
const { data, cases } = JSON.parse(readFileSync(here("cases.json"), "utf8"));
const escapeExpression = Handlebars.Utils.escapeExpression;
for (const level of ["log", "info", "error"]) console[level] = () => {};

function render(source, context, escaping) {
  // Not noEscape, with which numbers side by side are added up.
  Handlebars.Utils.escapeExpression = escaping ? escapeExpression : (value) => `${value ?? ""}`;
  const attempt = (strict) => {
    try {
      return Handlebars.create().compile(source, { strict })(structuredClone(context));
    } catch (error) {
      return { error: error.message.split("\n")[0] };
    }
  };
  const strictly = attempt(true);
  // Strict templates stumble over the middle of a path in a condition; of values that are not
  // there they tell in other words.
  return /^Cannot read properties of/.test(strictly.error ?? "") ? attempt(false) : strictly;
}

const judged = cases.map(([name, source]) => {
  const plain = render(source, data[name], false);
  const escaped = render(source, data[name], true);
  const same = JSON.stringify(plain) === JSON.stringify(escaped);
  return { data: name, template: source, plain, ...(same ? {} : { escaped }) };
});
const lines = judged.map((each) => JSON.stringify(each)).join(",\n");
writeFileSync(
  here("judged.json"),
  `{"handlebars": "${Handlebars.VERSION}", "judged": [\n${lines}\n]}\n`,
);
