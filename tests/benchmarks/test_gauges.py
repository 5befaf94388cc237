"""What the gauges read of real processes."""

import os
import subprocess
import sys
import time

from benchmarks.lab import gauges

BUSY = "import time\nuntil = time.process_time() + 0.3\nwhile time.process_time() < until: pass\ninput()"


def make_busy_process():
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
    while gauges.cpu_s([process.pid]) < 0.3:
        time.sleep(0.02)
    return process


def end(process):
    process.communicate(b"\n")


def test_a_process_is_found_below_its_parent_with_its_cpu_and_memory():
    process = make_busy_process()
    assert process.pid in gauges.tree(os.getpid())
    assert "-c" in gauges.command_line(process.pid)
    assert gauges.cpu_s([process.pid]) >= 0.3
    assert gauges.pss_mb([process.pid]) > 1
    end(process)


def test_a_process_that_is_gone_costs_nothing():
    process = make_busy_process()
    end(process)
    assert gauges.cpu_s([process.pid]) == 0
    assert gauges.pss_mb([process.pid]) == 0
    assert gauges.command_line(process.pid) == ""


def test_work_of_a_part_is_its_own_and_not_foreign():
    process = None

    def parts():
        return {"busy": gauges.tree(process.pid)} if process else {}

    with gauges.measured(parts) as gauge:
        process = make_busy_process()
        time.sleep(gauges.SAMPLE_EVERY_S * 1.2)
    end(process)
    assert gauge.cpu["busy"] >= 0.3
    assert gauge.peak_mb["busy"] > 1
    assert gauge.seconds > 1
