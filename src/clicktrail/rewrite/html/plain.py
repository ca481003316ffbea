"""Links in their usual form, each read in one look: nothing of them depends on anything else.

`scanner` and `quick` find them by `PLAIN_LINK`; any other tag is a `Tag`.
"""

from clicktrail.base import weburl
from clicktrail.rewrite.html.markup import (
    OPT_OUTS,
    WS,
    compile_ascii,
    fold,
    one_of,
)

_HREF = fold("href")
_NAME = rf"""[^{WS}/>=:"'<]++"""
# A name with a colon is none of those above.
_OPT_OUTS = [name.decode() for name in OPT_OUTS if b":" not in name]
# § 13.2.5.38, without what is an error there.
_BARE = rf"""[^{WS}"'=<>`][^{WS}"'<>`]*+"""
_GIVEN = rf"""(?:="[^"]*+"|='[^']*+'|={_BARE}|(?=[{WS}>]))"""
# No attribute that keeps a link from being tracked is among them.
_ATTRIBUTES = rf"(?>(?:[{WS}]++(?!{one_of(_OPT_OUTS)}[{WS}/>=]){_NAME}{_GIVEN})*)"
_OTHERS = rf"(?>(?:[{WS}]++(?!{one_of(('href', *_OPT_OUTS))}[{WS}/>=]){_NAME}{_GIVEN})*)"
# Ours, where nothing keeps it from going together with the white space before it.
_TAGS = rf"([{WS}]++(?:{fold('postbox|ses')}):{fold('tags')}=\"([^\"]*+)\")(?=[{WS}>])"

_OTHER_TAGS = rf"<(?!/?[aA][{WS}/>])[^>]*+>(?>(?:[{WS}]++|<(?!/?[aA][{WS}/>])[^>]*+>)*)"
_LIKE_A_URL = r"[\x80-\xff\w\-]++(?:\.[\x80-\xff\w\-]|(?<=[hH][tT][tT][pP]|[tT][tT][pP][sS]):)"
# In this order: a text without a tag before it is the usual case.
URL_SHOWN = rf"[{WS}]*+(?:{_LIKE_A_URL}|{_OTHER_TAGS}{_LIKE_A_URL})"
"""What follows the tag of a link whose text begins like a URL."""

# A URL that is tracked as it stands, but for its ampersands: `url.classify` says ``http``. Each of
# those is "&amp;", or begins no reference: "&a=b" is as it stands (§ 13.2.5.73).
_ORDINARY = r"!$'()*+,\-./0-9:;=?@A-Z_a-z~"
_AMPERSAND = "&(?:amp;|[A-Za-z][A-Za-z0-9]*+=)"
_IN_URL = rf"[{_ORDINARY}]*+(?>(?:(?:%[0-9A-Fa-f]{{2}}|{_AMPERSAND})[{_ORDINARY}]*+)*)"
_URL = rf'{weburl.SCHEME}{weburl.USUAL_HOST}{weburl.USUAL_PORT}(?=[/?#"]){_IN_URL}(?:#{_IN_URL})?'

PLAIN_LINK = compile_ascii(
    rf"<[aA]({fold('rea')})?{_OTHERS}(?>(?:{_TAGS}{_OTHERS})?)"
    rf"""[{WS}]++{_HREF}=(?:"(?:({_URL})"|([^"]*+)")|'([^']*+)'|({_BARE}))"""
    rf"{_ATTRIBUTES}(?>(?:{_TAGS}{_ATTRIBUTES})?)[{WS}]*+/?+>(?(1)|(?:(?={URL_SHOWN})()|))"
)
"""A link (``a``, ``area``) as nearly every email has it, to be tracked if it leads to the web.

Its groups: the rest of the name of ``area``; link tags before the first ``href`` with the white
space before them, and their value; the value of ``href``, which is a URL as nearly all are, or any
other in double quotes, in single quotes, or in none; link tags behind it, and their value; where
`URL_SHOWN` follows an ``a``, an empty one.
"""
PLAIN_HREF = 4
"""The first of the groups of which one has the value of ``href``."""
PLAIN_TAGS = (2, 8)
"""The groups of link tags; that of their value is the next one."""
