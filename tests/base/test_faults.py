"""What does not work is a problem until it is mended."""

import threading

from clicktrail.base.faults import LONGEST, Faults


def test_a_fault_is_there_until_it_is_mended() -> None:
    faults = Faults()
    seen = []
    faults.on_change(lambda: seen.append(faults.current()))
    faults.report("journal", "no space")
    faults.report("journal", "no space")  # nothing new
    faults.report("spool", "no folder")
    faults.report("journal", "malformed")
    faults.mend("keys")  # was never reported
    faults.mend("journal")
    assert seen == [
        {"journal": "no space"},
        {"journal": "no space", "spool": "no folder"},
        {"journal": "malformed", "spool": "no folder"},
        {"spool": "no folder"},
    ]


def test_a_text_is_bounded() -> None:
    faults = Faults()
    faults.report("store", "x" * 100_000)
    assert len(faults.current()["store"]) == LONGEST


def test_threads_may_report_at_once() -> None:
    faults = Faults()

    def work(number: int) -> None:
        for _ in range(200):
            faults.report(str(number), "x")
            faults.mend(str(number))
        faults.report(str(number), "last")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.current() == dict.fromkeys("0123", "last")
