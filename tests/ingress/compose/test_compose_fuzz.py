"""Whatever stands in the body of SendEmail: an email that can go out, or an error that says why."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clicktrail.errors import InvalidInput
from support.composing import composed, read

SOUP = st.lists(
    st.sampled_from([*" \t\r\n\0,;:<>@()[]\"\\=?'.%a1é", "utf-8", "a@b.c", "{{", "}}", "#if "])
).map("".join)
ADDRESS = st.sampled_from(["a@b.c", "N <a@b.c>", "Jörg <j@bücher.example>", '"a, b" <a@b.c>'])
HEAD = st.sampled_from([b"", b"From x\n", b"Bcc: a@b.c\n", b"Subject: x\r\n", b"From: x\n y\n\n"])
WORD = st.one_of(
    SOUP, st.text(max_size=20), st.sampled_from(["a@b.c", "N <a@b.c>", "x/y", "utf-8"])
)
OPTIONAL = st.one_of(st.none(), WORD)
CONTENT = st.fixed_dictionaries({"Data": WORD}, optional={"Charset": OPTIONAL})
ATTACHMENTS = st.lists(
    st.fixed_dictionaries(
        {"RawContent": st.binary(max_size=50), "FileName": WORD},
        optional={
            "ContentDisposition": st.sampled_from(["INLINE", "ATTACHMENT"]),
            "ContentDescription": OPTIONAL,
            "ContentId": OPTIONAL,
            "ContentType": st.one_of(
                OPTIONAL, st.sampled_from(["text/html", "message/rfc822", "image/png", "text/x; y"])
            ),
            "ContentTransferEncoding": st.sampled_from(["BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT"]),
        },
    ),
    max_size=3,
)
HEADERS = st.lists(st.fixed_dictionaries({"Name": WORD, "Value": WORD}), max_size=2)
BODIES = st.fixed_dictionaries(
    {
        "Content": st.one_of(
            st.fixed_dictionaries(
                {
                    "Simple": st.fixed_dictionaries(
                        {
                            "Subject": CONTENT,
                            "Body": st.fixed_dictionaries(
                                {}, optional={"Text": CONTENT, "Html": CONTENT}
                            ),
                        },
                        optional={"Headers": HEADERS, "Attachments": ATTACHMENTS},
                    )
                }
            ),
            st.fixed_dictionaries(
                {
                    "Raw": st.fixed_dictionaries(
                        {"Data": st.builds(bytes.__add__, HEAD, st.binary() | SOUP.map(str.encode))}
                    )
                }
            ),
            st.fixed_dictionaries(
                {
                    "Template": st.fixed_dictionaries(
                        {
                            "TemplateContent": st.fixed_dictionaries(
                                {"Subject": WORD, "Html": WORD, "Text": WORD}
                            )
                        },
                        optional={
                            "TemplateData": st.sampled_from(['{"a": 1}', '{"a": {"a": []}}', "{"])
                        },
                    )
                }
            ),
        ),
        "FromEmailAddress": ADDRESS,
        "Destination": st.fixed_dictionaries(
            {"ToAddresses": st.lists(ADDRESS, min_size=1, max_size=2)}
        ),
    },
    optional={"ReplyToAddresses": st.lists(ADDRESS, max_size=2)},
)


@settings(max_examples=120)
@given(BODIES)
def test_whatever_is_asked_for_is_composed_or_refused(body: dict[str, Any]) -> None:
    try:
        made = composed(**body)
    except (InvalidInput, UnicodeEncodeError):  # the latter: a text that no JSON holds
        return
    assert made.recipients
    if "Raw" not in body["Content"]:
        read(made.message)
