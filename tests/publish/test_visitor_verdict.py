"""Who clicked: what leads to which verdict. The User-Agents are real ones."""

import ipaddress

import pytest

from clicktrail.base.ids import new_id
from clicktrail.model import Click, Verdict
from clicktrail.publish.networks import Networks
from clicktrail.publish.visitor_verdict import Judge, Judgement, names_itself_a_machine
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


def judge_all(*clicks: Click, judge: Judge | None = None) -> list[Judgement]:
    """Return the last judgement of each click, after all have been judged."""
    used = judge or Judge()
    found: dict[str, Judgement] = {}
    for each in clicks:
        found |= used.judge(each, None)
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


def test_a_click_long_after_acceptance_is_human() -> None:
    made = click()
    assert Judge().judge(made, AT - SECOND) == {made.event_id: HUMAN}
    assert Judge().judge(made, None) == {made.event_id: HUMAN}


@pytest.mark.parametrize("before", [SECOND - 1, 0, -5 * SECOND])
def test_a_click_within_a_second_of_acceptance_is_suspect(before: int) -> None:
    made = click()
    expected = Judgement(Verdict.SUSPECT, ("too-fast",))
    assert Judge().judge(made, AT - before) == {made.event_id: expected}


def test_no_user_agent_is_suspect_and_with_another_sign_a_machine() -> None:
    made = click(agent=" ")
    assert judge_all(made) == [Judgement(Verdict.SUSPECT, ("no-user-agent",))]
    both = Judgement(Verdict.MACHINE, ("no-user-agent", "too-fast"))
    assert Judge().judge(made, AT) == {made.event_id: both}


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
        [found] = Judge(self.JUDGE).judge(made, AT).values()
        assert found == Judgement(Verdict.MACHINE, ("user-agent", "network", "too-fast"))


class TestTheHiddenLink:
    MACHINE = Judgement(Verdict.MACHINE, ("honeypot",))

    def test_who_follows_it_is_a_machine_from_then_on(self) -> None:
        judge = Judge()
        assert judge.trap(click()) == {}
        assert judge_all(click(0, 60), click(1, 120), judge=judge) == [self.MACHINE] * 2

    def test_what_the_visitor_clicked_before_is_judged_again_once(self) -> None:
        judge = Judge()
        first, second = click(0), click(1, 60)
        judge_all(first, second, judge=judge)
        assert judge.trap(click(9, 90)) == dict.fromkeys(
            (first.event_id, second.event_id), self.MACHINE
        )
        assert judge.trap(click(9, 91)) == {}

    def test_the_other_reasons_stay(self) -> None:
        judge = Judge()
        first, second = click(0, agent=""), click(1)
        judge_all(first, second, judge=judge)
        assert judge.trap(click()) == {
            first.event_id: Judgement(Verdict.MACHINE, ("no-user-agent", "honeypot", "burst")),
            second.event_id: Judgement(Verdict.MACHINE, ("honeypot", "burst")),
        }

    def test_other_emails_and_other_visitors_are_not_concerned(self) -> None:
        judge = Judge()
        judge_all(click(ip="other"), click(message="other"), judge=judge)
        assert judge.trap(click()) == {}
        assert judge_all(click(ip="other"), click(message="other"), judge=judge) == [HUMAN] * 2


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

    def test_other_emails_and_other_addresses_are_apart(self) -> None:
        assert judge_all(click(0), click(1, ip="other"), click(2, message="other")) == [HUMAN] * 3

    def test_the_order_in_which_clicks_arrive_does_not_matter(self) -> None:
        made = [click(2, 1.9), click(0), click(3, 60), click(1, 1)]
        assert judge_all(*made) == [MACHINE_BURST, MACHINE_BURST, HUMAN, MACHINE_BURST]

    def test_an_earlier_click_is_judged_again_only_when_that_changes_it(self) -> None:
        judge = Judge()
        first, second, third, fourth = (click(n, n / 10) for n in range(4))
        ids = [each.event_id for each in (first, second, third, fourth)]
        assert sorted(judge.judge(first, None)) == ids[:1]
        assert sorted(judge.judge(second, None)) == ids[:2]
        assert sorted(judge.judge(third, None)) == ids[:3]
        assert sorted(judge.judge(fourth, None)) == ids[3:]

    def test_with_another_sign_it_is_a_machine(self) -> None:
        [first, second] = judge_all(click(0, agent=""), click(1))
        assert first == Judgement(Verdict.MACHINE, ("no-user-agent", "burst"))
        assert second == SUSPECT_BURST

    def test_a_click_that_comes_twice_is_judged_the_same(self) -> None:
        judge = Judge()
        first, second = click(0), click(1)
        judge_all(first, second, judge=judge)
        assert judge.judge(first, None) == {first.event_id: SUSPECT_BURST}

    def test_hundreds_of_links_at_once_are_all_a_machines(self) -> None:
        judged = judge_all(*(click(n, n / 1000) for n in range(300)))
        assert judged == [MACHINE_BURST] * 300


def test_memory_is_bounded() -> None:
    judge = Judge()
    for n in range(12_000):
        judge.judge(click(message=str(n)), None)
        judge.trap(click(message=str(n)))
    for n in range(500):
        judge.judge(click(n, message="one"), None)
    assert len(judge._trapped) <= 10_000
    assert len(judge._seen) <= 10_000
    assert max(map(len, judge._seen.values())) <= 16
