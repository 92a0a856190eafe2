import pytest

from isoflop.meter.device import peaks
from isoflop.paper import growth, notable
from isoflop.paper.notable import Notable


def _model(name, date, flops):
    return Notable(name, date, flops, "made up", "confident")


def _yearly(times, first=2012, last=2020):
    return [_model(f"m{y}", f"{y}-07-01", 1e17 * times ** (y - first)) for y in range(first, last)]


def test_a_known_rate_comes_back_for_all_and_for_records():
    result = growth.analyse(_yearly(7.0), (), source="made up", windows=[(2012, 2020)])
    for rate in result.rates:
        assert rate.models == 8
        assert rate.times_a_year.value == pytest.approx(7.0, rel=0.01)
        assert rate.doubling_months.value == pytest.approx(12 / 2.807, rel=0.01)


def test_records_used_more_than_all_before_them():
    models = [*_yearly(10.0), _model("small", "2016-08-01", 1e15), _model("tie", "2019-12-01", 1e24)]
    assert [m.name for m in growth.records_of(models)] == [f"m{y}" for y in range(2012, 2020)]


def test_the_envelope_is_that_of_the_window():
    """A giant before the window hides nothing in it; within it, it holds the record to the end."""
    models = [_model("giant", "2012-01-02", 1e30), *_yearly(5.0, 2013)]
    whole, late = growth.analyse(models, (), source="x", windows=[(2012, 2020), (2013, 2020)]).rates[1::2]
    assert whole.times_a_year is None
    assert whole.reason == "1 records: 4 needed"
    assert late.models == 7
    assert late.times_a_year.value == pytest.approx(5.0, rel=0.01)


def test_the_table_gives_the_rates_that_the_page_shows():
    result = growth.analyse(notable.TABLE, (), source="table")
    whole = growth.rate_in(result, (2012, 2020), "records")
    assert whole.models == 10
    assert whole.times_a_year.value == pytest.approx(14.6, abs=0.1)
    assert whole.times_a_year.interval.low < 10 < whole.times_a_year.interval.high
    every = growth.rate_in(result, (2012, 2020), "all")
    assert every.times_a_year.value == pytest.approx(5.1, abs=0.1)
    records = [r.times_a_year.value for r in result.rates if r.of == "records" and r.times_a_year]
    assert max(records) / min(records) > 5, "the record envelope depends on the window"


def test_the_table_is_sound():
    assert len({m.name for m in notable.TABLE}) == len(notable.TABLE)
    assert all(2012 <= m.year < 2025.5 and 1e15 < m.train_flops < 1e27 and m.source for m in notable.TABLE)
    late = [m for m in notable.TABLE if m.year >= 2024]
    assert late
    assert all(m.confidence == "confident" and m.train_flops > 3e24 for m in late), "the rule of its head"
    assert list(notable.TABLE) == sorted(notable.TABLE, key=lambda m: m.published)


def test_every_gpu_has_a_peak_and_grows():
    names = (*growth.RELEASED, *growth.GAMING)
    rates = {
        n: tuple((d, r.flops_per_second, r.source) for d in ("fp32", "fp16") if (r := peaks.peak_rate(n, d)))
        for n in names
    }
    assert all(len(peak_rates) == 2 for peak_rates in rates.values())
    result = growth.analyse(notable.TABLE, growth.gpu_peaks(rates), source="table")
    assert len(result.hardware) == 4
    assert all(1.1 < h.times_a_year < 2 for h in result.hardware)


def test_epochs_columns_are_read_under_either_name(tmp_path):
    for column in notable.NAMES:
        path = tmp_path / f"{column}.csv"
        path.write_text(
            f"{column},Publication date,Training compute (FLOP)\nA,2015-03-01,1e20\nB,,1e21\nC,2016-01-01,\n"
        )
        models, excluded = notable.read_notable_csv(path)
        assert [(m.name, m.published, m.train_flops) for m in models] == [("A", "2015-03-01", 1e20)]
        assert [e.run_id for e in excluded] == ["B", "C"]
    path.write_text("System,Publication date,Training compute (FLOP)\nA,2015-03-01,10^20\n")
    (power,) = notable.read_notable_csv(path)[1]
    assert power.reason.endswith("is '10^20', not a number: write it with an exponent, 1e20")
    path.write_text("System,Date,Training compute (FLOP)\nA,2015,1\n")
    with pytest.raises(ValueError, match="no column Publication date"):
        notable.read_notable_csv(path)


def test_a_table_without_enough_models_is_refused():
    with pytest.raises(ValueError, match="no window of years holds 4"):
        growth.analyse(_yearly(2.0)[:2], (), source="two.csv")
