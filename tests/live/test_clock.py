"""Time stamps of all kinds: what rate they say, and what was lost between them."""

import numpy as np
import pytest

from mdjpt_hf.errors import SamplingRateError, StreamError
from mdjpt_hf.live.clock import SampleClock, measure_rate

RATE = 256.0
TIMES = np.arange(round(40 * RATE)) / RATE


def run(stamps, announced=RATE, chunk=16):
    """(clock, samples that came through, gaps); the one channel holds the number of its sample."""
    clock, numbers, gaps = SampleClock(announced), [], []
    for start in range(0, len(stamps), chunk):
        part = slice(start, start + chunk)
        for piece in clock.take(np.arange(len(stamps))[None, part].astype(float), stamps[part]):
            if piece.samples is None:
                gaps.append((len(numbers), piece.gap, piece.reason))
            else:
                assert len(piece.stamps) == piece.samples.shape[1]
                numbers += piece.samples[0].astype(int).tolist()
    return clock, numbers, gaps


def jitter(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, seconds, len(TIMES))


def by_chunk(rate, announced, size):
    """Stamps as liblsl makes them for chunks with one stamp: from the announced rate within, true at the end."""
    number = np.arange(round(40 * rate))
    return (number // size + 1) * size / rate - (size - 1 - number % size) / announced


@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
@pytest.mark.parametrize(
    "stamps",
    [
        TIMES,
        TIMES + 1e9,
        TIMES + jitter(0.003),
        TIMES + jitter(0.02),
        TIMES * (1 + 1e-4),
        np.floor(TIMES * 8) / 8,
        by_chunk(RATE, RATE, 32),
    ],
    ids=["steady", "since 1970", "trembling", "trembling a lot", "a quartz", "shared by a chunk", "by liblsl"],
)
def test_whole_streams_come_through_whole(stamps, chunk):
    clock, numbers, gaps = run(stamps, chunk=chunk)
    assert numbers == list(range(len(stamps))) and not gaps
    assert clock.rate.used == RATE and clock.rate.measured == pytest.approx(RATE, rel=0.003)


@pytest.mark.parametrize("length", [1, 3, 100, 3000])
def test_every_sample_that_is_lost_is_counted(length):
    start = 4000
    _, numbers, gaps = run(np.delete(TIMES, slice(start, start + length)))
    assert [(place, round(gap * RATE)) for place, gap, _ in gaps] == [(start, length)]
    assert numbers == list(range(len(TIMES) - length)) and gaps[0][2] == "samples were lost"


def test_losses_among_trembling_stamps_are_seen_beyond_the_trembling():
    stamps = np.delete(TIMES + jitter(0.01), slice(4000, 4300))
    clock, numbers, gaps = run(stamps)
    assert len(gaps) == 1 and gaps[0][1] == pytest.approx(300 / RATE, abs=0.02)
    assert "losses below" in clock.rate.notes[0] and len(numbers) == len(stamps)


def test_losses_all_over_are_no_other_rate():
    lost = np.random.default_rng(0).choice(len(TIMES) - 500, 100, replace=False)
    clock, numbers, gaps = run(np.delete(TIMES, lost))
    assert clock.rate.used == RATE and clock.rate.measured == pytest.approx(RATE, rel=1e-4)
    assert len(numbers) + round(sum(gap for _, gap, _ in gaps) * RATE) == pytest.approx(len(TIMES), abs=3)


@pytest.mark.parametrize("stamps", [np.arange(10_000) / 250, by_chunk(250, RATE, 8)], ids=["stamped", "by liblsl"])
def test_another_rate_than_the_announced_one_is_used(stamps):
    clock, numbers, gaps = run(stamps)
    assert clock.rate.used == 250 and len(numbers) == len(stamps) and not gaps
    assert clock.rate.notes[0] == "the stream announces 256 Hz and sends 250 Hz, which is used"
    assert run(stamps, 0.0)[0].rate.used == pytest.approx(250, rel=1e-3)


@pytest.mark.parametrize(
    ("sent", "announced", "error", "message"),
    [
        (200, 256, SamplingRateError, "announces 256 Hz, but its time stamps say 200 Hz; up to 10%"),
        (128, 256, SamplingRateError, "announces 256 Hz, but its time stamps say 128 Hz"),
        (90, 90, SamplingRateError, "sends 90 Hz, below 94 Hz"),
        (60, 0, SamplingRateError, "below 94 Hz"),
    ],
)
def test_rates_that_cannot_be_used(sent, announced, error, message):
    with pytest.raises(error, match=message):
        measure_rate(np.arange(6 * sent) / sent, announced)


@pytest.mark.parametrize(
    "stamps", [np.zeros(2000), -TIMES, TIMES * np.nan, TIMES[:10]], ids=["none", "falling", "nan", "too few"]
)
def test_stamps_that_are_no_clock(stamps):
    with pytest.raises(StreamError, match="are no clock"):
        measure_rate(stamps, RATE)


def test_what_comes_late_is_not_lost():
    late = TIMES.copy()
    late[5000:5016] += 0.08  # one chunk
    late[7000:7300] = late[7300]  # a second of radio silence, sent all at once
    _, numbers, gaps = run(late)
    assert numbers == list(range(len(TIMES))) and not gaps


def test_a_clock_that_goes_back_is_a_break():
    stamps = TIMES.copy()
    stamps[6000:] -= 3
    _, numbers, gaps = run(stamps)
    assert [(place, gap) for place, gap, _ in gaps] == [(6000, 0.0)] and "went back by 3 s" in gaps[0][2]
    assert numbers == list(range(len(TIMES)))


def test_the_clock_follows_a_rate_that_drifts_for_hours():
    count = round(8 * 3600 * RATE)
    stamps = np.cumsum(np.full(count, 1 / RATE) * (1 + 1e-4 * np.sin(np.arange(count) / RATE / 600)))
    stamps += np.random.default_rng(0).normal(0, 0.002, count)
    clock, came = SampleClock(RATE), 0
    for start in range(0, count, 4096):
        part = stamps[start : start + 4096]
        for piece in clock.take(np.zeros((1, len(part))), part):
            assert piece.samples is not None
            came += piece.samples.shape[1]
    assert came == count and clock.current == pytest.approx(RATE, rel=2e-3) and not clock._waiting


def test_samples_may_come_one_by_one():
    _, numbers, gaps = run(np.delete(TIMES, slice(2000, 2005)), chunk=1)
    assert numbers == list(range(len(TIMES) - 5)) and [place for place, _, _ in gaps] == [2000]


def test_stamps_that_never_settle_are_a_loss_and_not_kept_forever():
    rng = np.random.default_rng(0)
    stamps = TIMES.copy()
    stamps[4000:7000] += rng.uniform(0.5, 5, 3000)
    clock, numbers, gaps = run(stamps)
    assert gaps and set(range(7200, len(TIMES))) <= set(numbers) and sum(len(part[1]) for part in clock._waiting) < 600


def test_stamps_without_a_number_are_left_out():
    stamps = TIMES.copy()
    stamps[5000:5100] = np.nan
    _, numbers, gaps = run(stamps)
    assert round(gaps[0][1] * RATE) == 100 and not {*range(5000, 5100)} & {*numbers}
