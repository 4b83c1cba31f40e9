#!/usr/bin/env python3
"""A container engine that is killed, stopped, restarted, hangs, or comes late: tasks are tried again or end right, no slot
is stuck, no container is left over.

The engine is a dockerd of the test's own, in a network namespace of its own: the one of the machine is left alone.
"""

import signal

from agent_world import *
from own_dockerd import Dockerd


def expect_well(dev, seconds=20):
    """Every slot works, and nothing is left over."""
    tasks = [dev.create("true") for _ in range(dev.slots)]
    for task in tasks:
        expect_equal(dev.wait_resolved(task, seconds)["state"], "completed", "a fresh task")
    dev.expect_nothing_left(45)


def expect_retried(dev, task, seconds=60):
    ended = dev.wait_resolved(task, seconds)
    expect_equal([run.get("reason") for run in ended["runs"]], ["worker-shutdown", "completed"], f"runs of {task}")
    expect(dev.output(task, 1).endswith(b"run 1\n"), "the second run's output")


RETRIED = "if [ $RUN_ID = 0 ]; then echo started; sleep 300; fi; echo run $RUN_ID"
# Ends with success when it is told to stop: still it has been interrupted.
OBEYS = "trap 'exit 0' TERM; " + RETRIED.replace("sleep 300", "sleep 300 & wait")


def start_some(dev):
    tasks = [dev.shell(RETRIED), dev.shell(OBEYS), dev.shell("trap '' TERM; " + RETRIED)]
    for task in tasks:
        dev.wait_running(task)
        wait_for(lambda: b"started" in dev.log(task), 10, "it has started")
    return tasks


def engine_absent_at_the_start(dockerd, dev):
    dockerd.terminate()
    dev.start()
    task = dev.create("true")
    time.sleep(3)
    expect_equal(dev.state(task), "pending", "nothing is claimed without an engine")
    dockerd.start()
    expect_equal(dev.wait_resolved(task)["state"], "completed")
    expect_well(dev)


def engine_killed(dockerd, dev):
    tasks = start_some(dev)
    dockerd.kill()
    waiting = dev.create("true")
    time.sleep(2)
    expect_equal(dev.state(waiting), "pending", "nothing is claimed without an engine")
    dockerd.start()
    for task in tasks:
        expect_retried(dev, task)
    expect_equal(len(dev.wait_resolved(waiting)["runs"]), 1, "no retry was spent while the engine was away")
    expect_well(dev)


def engine_stopped(dockerd, dev):
    tasks = start_some(dev)
    dockerd.terminate()
    time.sleep(1)
    dockerd.start()
    for task in tasks:
        expect_retried(dev, task)
    expect_well(dev)


def engine_hangs(dockerd, dev):
    survivor = dev.shell("echo before; sleep 5; echo after; exit 4")
    dev.wait_running(survivor)
    wait_for(lambda: b"before" in dev.log(survivor), 10, "it has started")
    dockerd.send(signal.SIGSTOP)
    cancelled = dev.create("true")
    time.sleep(90 if HEAVY else 12)
    dev.cancel(cancelled)
    dockerd.send(signal.SIGCONT)
    ended = dev.wait_resolved(survivor)
    expect_equal([run.get("reason") for run in ended["runs"]], ["failed"])
    expect_equal(run_of(ended, 0)["exit"]["code"], 4)
    expect_equal(dev.output(survivor), b"before\nafter\n")
    expect_well(dev, 60)


def dev_and_engine_restarted(dockerd, dev):
    """Both at once, as in a power failure without one."""
    task = dev.shell(RETRIED)
    dev.wait_running(task)
    dev.kill()
    dockerd.kill()
    dockerd.start()
    dev.start()
    ended = dev.wait_resolved(task)
    expect(ended["state"] in ("completed", "failed"), "it ends")
    expect_well(dev)


def test_an_engine_that_comes_and_goes():
    if os.geteuid() != 0:
        print("       skipped: needs root")
        return
    dockerd = Dockerd()
    try:
        dockerd.start()
        dockerd.make_image()
        dev = Dev(engine=dockerd, slots=4)
        try:
            for part in (engine_absent_at_the_start, engine_killed, engine_stopped, engine_hangs,
                         dev_and_engine_restarted):
                began = time.monotonic()
                part(dockerd, dev)
                print(f"       {part.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except BaseException:
            dev.show_messages()
            raise
        finally:
            dev.end()
    finally:
        dockerd.end()


run_tests(globals())
