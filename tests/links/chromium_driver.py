"""Has Chromium judge random documents: the links of its DOM, where they lead, and all the rest.

    python tests/links/chromium_driver.py --examples 20000 --first 0

Run by hand; nothing is fetched. A document is made from its number, as in `judge_driver.py`. What
must hold between its DOM before and after: the same elements, attributes and texts but for links
and the attributes that leave; each link as it was or a tracking link, by `urlrules`; and what is
tracked leads where Chromium would have gone.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from links import urlrules
from links.casefile import OWN_HOST, is_own
from links.documents import document
from links.envelopes import random_envelope
from links.trial import rewrite_in
from links.verdict import NO_TRACK_UNLESS, find

_BATCH = 200
_TRACKED = re.compile(rf"https?://{re.escape(OWN_HOST)}/c/(\d+)_[0-9a-f]{{8}}-[a-z]+\Z")
_OFF = re.compile(r"off|0|true|false", re.I)
_MAY_SAY_NO = (
    "clicktracking",
    "data-msys-clicktrack",
    "disable-tracking",
    "hstracking",
    "autotrack",
)
_SAYS_NO = ("ses:no-track", "postbox:no-track", "data-pm-no-track", *NO_TRACK_UNLESS)

# A document of DOMParser runs no script and loads nothing.
_READ = """
trials => {
  const LEAVE = ["postbox:tags", "ses:tags", "postbox:no-track", "ses:no-track"];
  const RAW = ["script", "style", "textarea", "title", "xmp", "noembed", "noframes", "iframe"];
  const XLINK = "http://www.w3.org/1999/xlink";
  const href = (value, base) => {
    try { return new URL(value, base).href } catch { return null }
  };
  const read = html => {
    const dom = new DOMParser().parseFromString(html, "text/html");
    const bases = [...dom.querySelectorAll("base[href]")];
    const base = bases.find(each => each.namespaceURI.endsWith("/xhtml"));
    const given = base ? base.getAttribute("href") : null;
    const links = [], rest = [];
    const walk = (node, shown) => {
      for (const child of node.childNodes) {
        if (child.nodeType !== 1) {
          const outlook = child.nodeType === 8 && /^-*[\\s-]*\\[\\s*if/i.test(child.data);
          rest.push(child.nodeType + (outlook ? "" : child.data));
          continue;
        }
        const names = child.getAttributeNames();
        let name = null;
        if (child.localName === "a" || child.localName === "area") {
          if (child.hasAttributeNS(null, "href")) name = "href";
          else if (child.localName === "a" && child.namespaceURI.endsWith("/svg")
                   && child.hasAttributeNS(XLINK, "href")) name = "xlink:href";
        }
        if (name !== null && shown) {
          const value = child.getAttribute(name);
          const others = Object.fromEntries(names.map(each => [each, child.getAttribute(each)]));
          links.push({value, others, url: href(value, href(given) ?? undefined)});
        }
        rest.push(child.namespaceURI + " " + child.localName);
        for (const each of names)
          if (each !== name && !LEAVE.includes(each))
            rest.push(each + "=" + child.getAttribute(each));
        const inside = shown && !RAW.includes(child.localName);
        walk(child, inside);
        if (child.content instanceof DocumentFragment) walk(child.content, inside);
        rest.push("end");
      }
    };
    walk(dom, true);
    return {links, rest, base: given};
  };
  return trials.map(([before, after, urls]) => {
    return {before: read(before), after: read(after), leads: urls.map(each => href(each))};
  });
}
"""


def trial(number: int) -> tuple[str, str, list[str]]:
    """Return a document as a browser reads it from its email, what became of it, and the URLs."""
    envelope = random_envelope(Random(~number), document(Random(number)))
    after, links = rewrite_in(envelope)
    return envelope.text_of(envelope.raw), after, [link.url for link in links]


def judge(urls: list[str], seen: dict[str, Any]) -> list[str]:
    """Return what is wrong with a document, by what Chromium saw."""
    before, after = seen["before"], seen["after"]
    wrong = []
    if before["rest"] != after["rest"]:
        pairs = zip(before["rest"], after["rest"], strict=False)
        wrong += [f"{old!r} became {new!r}" for old, new in pairs if old != new][:1]
        wrong = wrong or ["the document became longer or shorter"]
    if len(before["links"]) != len(after["links"]):
        return [*wrong, f"{len(before['links'])} links became {len(after['links'])}"]
    for old, new in zip(before["links"], after["links"], strict=True):
        wrong += _judge_link(old, new["value"], before["base"], urls, seen["leads"])
    return wrong


def _judge_link(
    old: dict[str, Any], new: str, base: str | None, urls: list[str], leads: list[str | None]
) -> list[str]:
    value = old["value"]
    answer = urlrules.judge(value, base)
    found = _TRACKED.match(new)
    if found is None or new == value:
        if new != value:
            return [f"{value!r} became {new!r}"]
        if _may_stay(old) or is_own(old["url"] or "") or answer is None or None in answer:
            return []
        return [f"{value!r} (base {base!r}) leads to {old['url']!r} and is not tracked"]
    url, leads_to = urls[int(found[1])], leads[int(found[1])]
    if answer is not None and url not in answer:
        return [f"{value!r} (base {base!r}) was tracked as {url!r}, not one of {answer!r}"]
    by_rule = url.startswith("http") and url.endswith(urlrules.read(value)) and url != value
    if leads_to is None or (leads_to != old["url"] and not by_rule):
        return [f"{value!r} (base {base!r}) leads to {old['url']!r}, its link to {leads_to!r}"]
    return []


def _may_stay(link: dict[str, Any]) -> bool:
    attributes = link["others"]
    says_no = any(_OFF.search(attributes.get(name, "")) for name in _MAY_SAY_NO)
    says_no = says_no or "untracked" in attributes.get("class", "")
    return says_no or "\ufffd" in link["value"] or any(name in attributes for name in _SAYS_NO)


def _batches(first: int, end: int) -> Iterable[range]:
    return (range(at, min(at + _BATCH, end)) for at in range(first, end, _BATCH))


def main() -> int:
    """Judge documents and print those that fail."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", type=int, default=20, help="how many failures to print")
    options = parser.parse_args()
    failures = judged = links = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page()
        for numbers in _batches(options.first, options.first + options.examples):
            trials = [trial(number) for number in numbers]
            for number, (text, _, urls), seen in zip(
                numbers, trials, page.evaluate(_READ, trials), strict=True
            ):
                if not find(text).judged:
                    continue
                judged += 1
                links += len(seen["before"]["links"])
                wrong = judge(urls, seen)
                failures += bool(wrong)
                if wrong and failures <= options.show:
                    print(f"\n{number}: {text!r}", *wrong, sep="\n  ", flush=True)
        browser.close()
    print(f"{judged} documents judged, {links} links, {failures} failed", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
