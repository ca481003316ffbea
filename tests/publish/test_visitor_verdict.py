"""Who clicked: what leads to which verdict. The User-Agents are real ones."""

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicktrail.base.ids import new_id
from clicktrail.model import HONEYPOT_LINK, Click, Judgement, Request, Verdict
from clicktrail.publish.networks import Networks
from clicktrail.publish.visitor_verdict import (
    Judge,
    judge_again,
    judgement,
    names_itself_a_machine,
    record,
)
from clicktrail.publish.visitor_verdict.records import seen_of
from clicktrail.publish.visitor_verdict.signs import IS_HEAD, TOO_FAST
from clicktrail.publish.visitor_verdict.together import judge_together
from clicktrail.store.clicks.judging.evidence import RECORD, Evidence
from clicktrail.store.clicks.judging.reasons import REASONS
from support.publishing import BROWSER

SECOND = 1_000_000
AT = 1_790_000_000 * SECOND
HUMAN = Judgement(Verdict.HUMAN, ())
SUSPECT_BURST = Judgement(Verdict.SUSPECT, ("burst",))
MACHINE_BURST = Judgement(Verdict.MACHINE, ("burst",))


def click(
    link: int = 0, seconds: float = 0, ip: str = "ip", message: str = "m", agent: str = BROWSER
) -> Click:
    at = AT + int(seconds * SECOND)
    return Click(new_id(at), message, link, "https://example.com/", at, ip, agent)


def judge_all(
    *clicks: Click, judge: Judge | None = None, traps: Sequence[Click] = ()
) -> list[Judgement]:
    """Return the judgements of clicks of one email, and of visits of its hidden link, together."""
    used = judge or Judge()
    signs = {each.event_id: used.signs(each, None) for each in clicks}
    records = "".join(record(each, signs[each.event_id]) for each in clicks)
    new = Evidence(records, "".join(record(each, 0) for each in traps))
    found = {id_: judgement(each) for id_, each in signs.items()} | judge_again(new, Evidence())
    return [found[each.event_id] for each in clicks]


@pytest.mark.parametrize(
    "agent",
    [
        BROWSER,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/142.0.0.0 YaBrowser/25.10 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/18.1 Safari/605.1.15",
        "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko)"
        " SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) GSA/340.3.692278309 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/430.0.0.31.107;FBDV/iPhone14,5]",
        "Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A.230805.001; wv) AppleWebKit/537.36"
        " (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0",
        "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Chrome/124 Mobile",
        "",
    ],
)
def test_browsers_do_not_name_themselves_machines(agent: str) -> None:
    assert not names_itself_a_machine(agent)


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 (Windows NT 10.0; WOW64) SkypeUriPreview Preview/0.5",
        "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/142.0.0.0 Safari/537.36",
        "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
        "Barracuda Sentinel (EE)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0;"
        " +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "TelegramBot (like TwitterBot)",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; Mail.RU_Bot/2.0; +https://help.mail.ru/webmaster/indexing/robots)",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "Mozilla/5.0 (compatible; YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy.html)",
        # Office looks at a link before it opens the browser, which then comes with its own name.
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C;"
        " .NET4.0E; Microsoft Outlook 16.0.5266; ms-office; MSOffice 16)",
        "Mozilla/4.0 (compatible; ms-office; MSOffice rmj)",
        "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "axios/1.7.7",
        "aiohttp/3.10 Python/3.12",
        "PostmanRuntime/7.42.0",
        "curl/8.1",
        "Wget/1.24",
        "python-requests/2.31",
        "python-httpx/0.27",
        "Go-http-client/1.1",
        "okhttp/4.9",
        "Java/17",
        "Apache-HttpClient/4.5",
        "libwww-perl/6",
        "curl" * 10_000,
    ],
)
def test_crawlers_scanners_and_libraries_are_machines(agent: str) -> None:
    [judgement] = judge_all(click(agent=agent))
    assert judgement == Judgement(Verdict.MACHINE, ("user-agent",))


@pytest.mark.parametrize("agent", ["Lynx/2.9.0dev.12 libwww-FM/2.14", "w3m/0.5.3", "Links (2.29)"])
def test_text_browsers_are_no_libraries(agent: str) -> None:
    assert not names_itself_a_machine(agent)


WHOLE = Request.LOOKED | Request.HTML | Request.LANGUAGE
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 12_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1"
)
IE = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"


@pytest.mark.parametrize(
    ("request_", "agent", "expected"),
    [
        (0, BROWSER, "human"),
        (Request.LOOKED, BROWSER, "machine no-headers"),
        (Request.LOOKED, SAFARI, "machine no-headers"),
        (Request.LOOKED, IE, "human"),
        (Request.LOOKED, "Example/1.0", "human"),
        (Request.LOOKED, "", "suspect no-user-agent"),
        (WHOLE, BROWSER, "human"),
        (WHOLE, SAFARI, "human"),  # before 16.4 without Sec-Fetch, as others over http
        (WHOLE | Request.NAVIGATION | Request.HINTS, BROWSER, "human"),
        (WHOLE & ~Request.LANGUAGE, BROWSER, "suspect few-headers"),
        (WHOLE & ~Request.HTML, BROWSER, "suspect few-headers"),
        (WHOLE & ~Request.HTML, IE, "human"),
        (WHOLE | Request.SUBRESOURCE, BROWSER, "suspect few-headers"),
        (WHOLE | Request.HINTS | Request.OTHER_HINTS, BROWSER, "suspect client-hints"),
        (WHOLE | Request.HINTS | Request.HEADLESS, BROWSER, "machine client-hints"),
        (WHOLE | Request.PREVIEW, SAFARI, "machine preview"),
        (Request.LOOKED | Request.HTML, "", "suspect no-user-agent"),
        (
            Request.LOOKED | Request.LANGUAGE | Request.OTHER_HINTS,
            BROWSER,
            "machine few-headers client-hints",
        ),
    ],
)
def test_what_a_request_shows_speaks_for_itself(request_: int, agent: str, expected: str) -> None:
    made = click(agent=agent)
    made.request = request_
    [found] = judge_all(made)
    assert " ".join((found.verdict, *found.reasons)) == expected


def test_every_reason_has_a_sign_and_words() -> None:
    for reason, why in REASONS.items():
        assert why.sentence.endswith(".")
        assert why.weight in (0, 1, 2), reason
    told = {reason for n in range(20) for reason in judgement(1 << n).reasons}
    assert told == set(REASONS)


def test_a_click_long_after_acceptance_is_human() -> None:
    assert judgement(Judge().signs(click(), AT - SECOND)) == HUMAN
    assert judgement(Judge().signs(click(), None)) == HUMAN


@pytest.mark.parametrize("before", [SECOND - 1, 0, -5 * SECOND])
def test_a_click_within_a_second_of_acceptance_is_suspect(before: int) -> None:
    found = judgement(Judge().signs(click(), AT - before))
    assert found == Judgement(Verdict.SUSPECT, ("too-fast",))


@pytest.mark.parametrize("before", [SECOND, 0, -5 * SECOND])
def test_without_a_threshold_no_click_is_too_fast(before: int) -> None:
    assert Judge().signs(click(), AT - before, too_fast=0) == 0


def test_no_user_agent_is_suspect_and_with_another_sign_a_machine() -> None:
    made = click(agent=" ")
    assert judge_all(made) == [Judgement(Verdict.SUSPECT, ("no-user-agent",))]
    both = Judgement(Verdict.MACHINE, ("no-user-agent", "too-fast"))
    assert judgement(Judge().signs(made, AT)) == both


class TestNetworks:
    JUDGE = Networks([ipaddress.ip_network("192.0.2.0/24")])

    def test_a_click_from_a_known_network_is_a_machines(self) -> None:
        [found, other] = judge_all(
            click(ip="192.0.2.9"), click(ip="198.51.100.9"), judge=Judge(self.JUDGE)
        )
        assert found == Judgement(Verdict.MACHINE, ("network",))
        assert other == HUMAN

    def test_it_is_one_reason_among_others(self) -> None:
        made = click(ip="192.0.2.9", agent="curl/8.1")
        found = judgement(Judge(self.JUDGE).signs(made, AT))
        assert found == Judgement(Verdict.MACHINE, ("user-agent", "network", "too-fast"))


class TestTheHiddenLink:
    MACHINE = Judgement(Verdict.MACHINE, ("honeypot",))

    def test_who_follows_it_is_a_machine_before_and_after(self) -> None:
        made = [click(0, 60), click(1, 120), click(1, -120)]
        assert judge_all(*made, traps=[click()]) == [self.MACHINE] * 3

    def test_the_other_reasons_stay(self) -> None:
        assert judge_all(click(0, agent=""), click(1), traps=[click()]) == [
            Judgement(Verdict.MACHINE, ("no-user-agent", "honeypot", "burst")),
            Judgement(Verdict.MACHINE, ("honeypot", "burst")),
        ]

    def test_a_rush_goes_on_while_clicks_follow_within_two_seconds(self) -> None:
        made = [click(0, n * 2, ip=str(n)) for n in range(4)] + [click(0, 8.1, ip="late")]
        judged = judge_all(*made, traps=[click(0, 2, ip="trapped")])
        assert judged == [*[self.MACHINE] * 4, HUMAN]

    def test_a_rush_reaches_half_a_minute(self) -> None:
        made = [click(0, n, ip=str(n)) for n in range(-40, 41)]
        judged = judge_all(*made, traps=[click(ip="trapped")])
        assert judged == [*[HUMAN] * 10, *[self.MACHINE] * 61, *[HUMAN] * 10]

    def test_other_visitors_at_other_times_are_not_concerned(self) -> None:
        assert judge_all(click(0, 3, ip="other"), traps=[click()]) == [HUMAN]

    def test_addresses_that_are_not_kept_are_not_the_same(self) -> None:
        assert judge_all(click(0, 60, ip=""), traps=[click(ip="")]) == [HUMAN]


class TestBursts:
    def test_two_links_within_two_seconds_are_suspect_and_three_a_machine(self) -> None:
        assert judge_all(click(0), click(1, 2)) == [SUSPECT_BURST] * 2
        assert judge_all(click(0), click(1, 1), click(2, 2)) == [MACHINE_BURST] * 3

    def test_only_those_within_two_seconds_of_one_another_count(self) -> None:
        spread = judge_all(click(0), click(1, 1.5), click(2, 3))
        assert spread == [SUSPECT_BURST] * 3
        assert judge_all(click(0), click(1, 2.1), click(2, 4.2)) == [HUMAN] * 3

    def test_one_link_again_and_again_is_no_burst(self) -> None:
        assert judge_all(*(click(0, n / 10) for n in range(40))) == [HUMAN] * 40

    def test_with_another_sign_it_is_a_machine(self) -> None:
        [first, second] = judge_all(click(0, agent=""), click(1))
        assert first == Judgement(Verdict.MACHINE, ("no-user-agent", "burst"))
        assert second == SUSPECT_BURST

    def test_hundreds_of_links_at_once_are_all_a_machines(self) -> None:
        judged = judge_all(*(click(n, n / 1000) for n in range(300)))
        assert judged == [MACHINE_BURST] * 300

    def test_only_what_has_changed_is_judged_again(self) -> None:
        first, second, third, fourth = (record(click(n, n / 10), 0) for n in range(4))
        assert len(judge_again(Evidence(second), Evidence(first))) == 2
        assert len(judge_again(Evidence(third), Evidence(second + first))) == 3
        assert len(judge_again(Evidence(fourth), Evidence(third + second + first))) == 1
        late = record(click(4, 60), 0)
        assert judge_again(Evidence(late), Evidence(third + second + first)) == {}


@pytest.mark.parametrize("link", [0, 7, 65_535, 65_536, HONEYPOT_LINK])
@pytest.mark.parametrize("ip", ["", "198.51.100.3", "2001:db8::1", "\udc80"])
def test_records_are_of_one_length(link: int, ip: str) -> None:
    assert len(record(click(link, ip=ip), 127)) == RECORD


def _some_click(data: st.DataObject, seconds: float) -> tuple[Click, int]:
    link = data.draw(st.integers(0, 6))
    made = click(link, seconds, f"ip{data.draw(st.integers(0, 2))}", agent=f"{link % 2}")
    return made, data.draw(st.sampled_from([0, 0, 0, IS_HEAD, TOO_FAST]))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_only_what_is_near_is_looked_at_and_nothing_is_missed(data: st.DataObject) -> None:
    """Click after click, in any order, comes to what all of them say at once."""
    gaps = data.draw(st.lists(st.sampled_from([0.5, 1.9, 4, 9, 14, 30, 39, 41, 90]), max_size=12))
    clicks = [_some_click(data, sum(gaps[:n])) for n in range(len(gaps))]
    links = data.draw(st.sampled_from([0, 3, 7]))
    records = {each.event_id: record(each, signs) for each, signs in clicks}
    at_once = [seen_of(text) for text in records.values()]
    expected = {id_: judgement(s) for id_, s in judge_together(at_once, (), links).items()}
    found = {each.event_id: judgement(signs) for each, signs in clicks}
    known = ""
    for event_id in data.draw(st.permutations(list(records))):
        found.update(judge_again(Evidence(records[event_id]), Evidence(known), links))
        known = records[event_id] + known
    counted = [each.event_id for each, signs in clicks if not signs & IS_HEAD]
    assert {id_: found[id_] for id_ in counted} == {id_: expected[id_] for id_ in counted}
