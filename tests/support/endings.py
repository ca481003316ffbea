"""Documents, and what stands before the end of what a browser shows of them."""

from links.casefile import encode

URL = "https://shop.example/offer?n=1#top"
LINK = f'<a href="{URL}">x</a>'

ENDS = [
    (f"{LINK} \r\n\r\n", "</a>"),
    (f"{LINK}<p>end", "<p>end"),
    (f"{LINK}</HTML>", "</a>"),
    (f"<body>{LINK}</Body\r\n></html>", "</a>"),
    (f"{LINK}</body></body></html>", "</a></body>"),
    (f"{LINK}</body></html><!-- </body> -->", "</a>"),
    (f"{LINK}<!-- </body> -->", "</a><!-- </body> -->"),
    (f"{LINK}<style>.a:after {{ content: '</body>' }}</style>", "</body>' }</style>"),
    (f"{LINK}<textarea></body></textarea></body>", "</body></textarea>"),
    (f'{LINK}<p title="</body>">end</p>', '<p title="</body>">end</p>'),
    (f"{LINK}</body><!--[if mso]></body><![endif]--></html>", "</a>"),
    (f"{LINK}</body><script>var a='</body>'", "</a>"),
]
"""HTML, and what stands right before the end of its body."""

ENDLESS = [
    f"{LINK}<!-- not closed </body>",
    f"{LINK}<style>not closed </body>",
    f"{LINK}<plaintext></body>",
    f'{LINK}<p title="not closed </body>',
]
"""HTML at whose end nothing is shown any more."""


def email_of(html: str, charset: str = "utf-8", encoding: str = "8bit") -> bytes:
    """Return an email with that HTML alone."""
    head = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: {encoding}"
    return f"{head}\r\n\r\n".encode() + encode(html.encode(charset), encoding)
