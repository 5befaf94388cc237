"""What benchmarks can be told, and how `make bench` hands it on."""

import pytest

from benchmarks import batch, inbox, ingest, run


def test_names_come_before_the_options_that_go_to_each():
    assert run.split(["ingest", "pages", "--quick", "--runs", "2"]) == (
        ["ingest", "pages"],
        ["--quick", "--runs", "2"],
    )
    assert run.split(["--quick"]) == ([], ["--quick"])
    assert run.split([]) == ([], [])


def test_every_benchmark_is_found_by_its_name_and_an_unknown_one_is_refused(capsys):
    assert {"batch", "decode", "inbox", "ingest"} <= set(run.names())
    assert run.main(["ingset"]) == 2
    assert "ingset" in capsys.readouterr().err


def test_by_default_a_figure_is_the_median_of_three_runs():
    for benchmark in (ingest, batch, inbox):
        assert benchmark.parse([]).runs == 3
        assert not benchmark.parse([]).quick


def test_quick_is_small_and_once():
    assert ingest.parse(["--quick"]).runs == 1
    assert ingest.parse(["--quick"]).events == [2_000]
    assert batch.parse(["--quick"]).records < batch.parse([]).records
    assert inbox.parse(["--quick"]).seconds < inbox.parse([]).seconds


def test_what_is_given_by_hand_overrides_quick():
    chosen = ingest.parse(
        ["--quick", "--events", "1e3,2e3", "--connections", "4", "--runs", "2", "--no-peer"]
    )
    assert (chosen.events, chosen.connections, chosen.runs, chosen.no_peer) == ([1000, 2000], [4], 2, True)


def test_a_number_that_is_none_is_refused_with_its_option(capsys):
    with pytest.raises(SystemExit):
        ingest.parse(["--events", "lots"])
    assert "--events: 'lots'" in capsys.readouterr().err


def test_a_table_takes_the_place_of_the_last_one_on_the_page_and_leaves_the_others():
    page = "# A\n<!-- ingest -->\nold\n<!-- end -->\n<!-- pages -->\nkept\n<!-- end -->\n"
    found = run.placed(page, "ingest", "| new |\n")
    assert found == "# A\n<!-- ingest -->\n| new |\n<!-- end -->\n<!-- pages -->\nkept\n<!-- end -->\n"
    with pytest.raises(ValueError, match="no place for decode"):
        run.placed(page, "decode", "")


def test_the_page_has_a_place_for_every_benchmark():
    for name in run.names():
        assert f"<!-- {name} -->" in run.placed(run.DOCS.read_text(), name, "a table")
