"""Timing: what counts, in which order."""

import platform
import sys

import click
import pytest
from shared import machine


def test_jobs_take_turns_and_warming_up_does_not_count():
    order = []
    jobs = {name: (lambda name=name: order.append(name)) for name in "ab"}
    times = machine.taking_turns(jobs, 2, warm_up=1)
    assert order == ["a", "b"] * 3
    assert all(len(t.wall_s) == len(t.processor_s) == 2 for t in times.values())


def test_best_and_median_are_of_the_counted_runs():
    times = machine.Times([3.0, 1.0, 8.0], [2.0, 4.0, 9.0])
    assert (times.best_s, times.median_s, times.median_processor_s) == (1.0, 3.0, 4.0)


def test_work_is_run_as_often_as_asked():
    runs = []
    machine.timed(lambda: runs.append(1))
    assert len(runs) == 1
    machine.repeated(lambda: runs.append(1), 3)
    assert len(runs) == 1 + 1 + 3


def test_the_machine_has_no_name():
    line = machine.machine_line()
    assert platform.node() == "" or platform.node() not in line
    assert f"Python {platform.python_version()}" in line and " used)" in line


def test_memory_is_told_in_megabytes():
    assert 10 < machine.peak_mb() < 1e6


def test_a_command_is_measured_by_itself():
    small = machine.run([sys.executable, "-S", "-c", "import time; time.sleep(0.2)"])
    assert 1 < small.peak_mb < 50 < machine.peak_mb()  # not that of the parent
    assert 0.2 <= small.seconds < 60 and 0 < small.processor_s < 0.2 + small.seconds
    grown = machine.run([sys.executable, "-S", "-c", "len(b'x' * (80 << 20))"])
    assert 80 < grown.peak_mb < 130


def test_a_command_that_fails_says_why():
    with pytest.raises(click.ClickException, match="exit code 1: ValueError: no such picture"):
        machine.run([sys.executable, "-c", "raise ValueError('no such picture')"])
