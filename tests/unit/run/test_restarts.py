from candlewick.pipeline.supervise.restarts import MAX_QUICK_DEATHS, QUICK_DEATH_S, decide, describe_end


def test_quick_deaths_wait_longer_each_time_and_are_given_up_in_the_end() -> None:
    delays, deaths = [], 0
    while (decision := decide(exit_code=1, lived_s=0.1, quick_deaths=deaths)).restart_after_s is not None:
        delays.append(decision.restart_after_s)
        deaths = decision.quick_deaths
    assert delays == sorted(delays)
    assert delays[0] < delays[-1]
    assert len(delays) == MAX_QUICK_DEATHS - 1


def test_a_long_life_clears_the_record() -> None:
    assert decide(exit_code=-9, lived_s=QUICK_DEATH_S, quick_deaths=MAX_QUICK_DEATHS - 1).quick_deaths == 0


def test_a_death_on_purpose_counts_for_nothing() -> None:
    decision = decide(exit_code=-9, lived_s=0.1, quick_deaths=MAX_QUICK_DEATHS - 1, wanted=True)
    assert decision.restart_after_s is not None
    assert decision.quick_deaths == MAX_QUICK_DEATHS - 1


def test_a_usage_error_is_not_tried_again() -> None:
    assert decide(exit_code=2, lived_s=60.0, quick_deaths=0).restart_after_s is None


def test_an_end_is_told_by_signal_or_code() -> None:
    assert describe_end(-9) == "died (signal 9)"
    assert describe_end(3) == "ended with code 3"
    assert describe_end(0) == "ended by itself"
