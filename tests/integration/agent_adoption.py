#!/usr/bin/env python3
"""A `gantry dev` that is killed under its tasks takes them up again at the next start: same containers, right results,
logs without gap or repeat, nothing left over."""

import random
import threading

from agent_world import *

COUNT = 3000
BYTES = len("".join(f"out {n}\nerr {n}\n" for n in range(1, COUNT + 1)))
LINES = f"i=0; while [ $i -lt {COUNT} ]; do i=$((i+1)); echo out $i; echo err $i >&2; done"
SLOW_LINES = ("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo out $i; echo err $i >&2; usleep 50000; done; "
              "printf 'the end, open'")


def test_tasks_are_taken_up_after_a_kill():
    with Dev(slots=8) as dev, Dev() as other:
        bystander = other.shell("sleep 8; echo safe")
        kept = other.wait_running(bystander)
        writer = dev.shell(SLOW_LINES + "; exit 3")
        sleeper = dev.shell("sleep 5; echo slept")
        ends_meanwhile = dev.shell("echo before; sleep 2; echo while nobody listened; exit 9",
                                   artifacts={"public/f": {"type": "file", "path": "/etc/passwd"}})
        containers = {task: dev.wait_running(task) for task in (writer, sleeper, ends_meanwhile)}
        wait_for(lambda: b"out 5" in dev.log(writer), 10, "it writes")
        dev.kill()
        wait_for(lambda: dev.engine.of_task(ends_meanwhile)[0]["State"] == "exited", 10, "one ends meanwhile")
        dev.start()
        for task in (writer, sleeper):
            expect_equal(dev.wait_running(task), containers[task], "the same container goes on")
        ended = dev.wait_resolved(writer)
        expect_equal((len(ended["runs"]), run_of(ended, 0)["exit"]["code"]), (1, 3))
        expect_contiguous(dev.output(writer), b"out", 60)
        expect_contiguous(dev.output(writer), b"err", 60)
        expect(dev.output(writer).endswith(b"the end, open"), f"the open line at the end: {dev.output(writer)[-60:]!r}")
        expect_equal(dev.wait_resolved(sleeper)["state"], "completed")
        expect_equal(dev.output(sleeper), b"slept\n")
        ended = dev.wait_resolved(ends_meanwhile)
        expect_equal((len(ended["runs"]), run_of(ended, 0)["exit"]["code"]), (1, 9))
        expect_equal(dev.output(ends_meanwhile), b"before\nwhile nobody listened\n")
        expect("public/f" in dev.artifacts(ends_meanwhile), "its artifact")
        dev.expect_nothing_left()
        expect_equal(other.engine.inspect(kept)["State"]["Running"], True, "another agent's container")
        expect_equal(other.wait_resolved(bystander)["state"], "completed")


def test_tasks_are_taken_up_after_a_stop():
    with Dev() as dev:
        writer = dev.shell(SLOW_LINES)
        dev.wait_running(writer)
        wait_for(lambda: b"out 5" in dev.log(writer), 10, "it writes")
        expect_equal(dev.terminate(), 0, "SIGTERM")
        # Longer than a silent node keeps its tasks: nobody listened, so that its term starts anew.
        time.sleep(20 if HEAVY else 1)
        dev.start()
        expect_equal(dev.wait_resolved(writer)["state"], "completed")
        expect_equal(len(dev.task(writer)["runs"]), 1)
        expect_contiguous(dev.output(writer), b"out", 60)
        expect_contiguous(dev.output(writer), b"err", 60)
        dev.expect_nothing_left()

        dev.arguments += ["--on-stop", "hand-back"]
        dev.terminate()
        dev.start()
        task = dev.shell("[ $RUN_ID = 0 ] && sleep 60; echo run $RUN_ID")
        dev.wait_running(task)
        expect_equal(dev.terminate(), 0, "SIGTERM with --on-stop hand-back")
        expect_equal(dev.containers(), [], "no container outlives it")
        dev.start()
        ended = dev.wait_resolved(task)
        expect_equal([run.get("reason") for run in ended["runs"]], ["worker-shutdown", "completed"])
        dev.expect_nothing_left()


def test_a_run_that_was_lost_before_its_container_is_tried_again():
    with Dev() as dev:
        task = dev.create("true")
        wait_for(lambda: dev.state(task) != "pending", 10, "it is claimed")
        dev.kill()
        dev.start()
        ended = dev.wait_resolved(task)
        expect_equal(ended["state"], "completed")
        expect(len(ended["runs"]) <= 2, "one retry at most")
        dev.expect_nothing_left()


def test_the_log_of_a_lost_run_ends():
    with Dev() as dev:
        task = dev.shell("echo run $RUN_ID; [ $RUN_ID = 1 ] || sleep 300")
        container = dev.wait_running(task)
        wait_for(lambda: b"run 0\n" in dev.log(task), 10, "it writes")
        dev.kill()
        dev.engine.call("DELETE", f"/containers/{container}?force=1")
        dev.start()
        ended = dev.wait_resolved(task)
        expect_equal([run.get("reason") for run in ended["runs"]], ["claim-expired", "completed"])
        expect(b"run 0\n" in dev.call("GET", f"/v1/tasks/{task}/runs/0/log", timeout=30), "what it wrote")
        logs = os.path.join(dev.directory, "logs")
        wait_for(lambda: not os.listdir(logs), 25, "no unfinished log is left")
        expect(b"run 0\n" in dev.log(task, 0), "what it wrote is kept")
        expect("public/logs/live_backing.log" in dev.artifacts(task, 0), "as an artifact")
        dev.expect_nothing_left()


class Load:
    """Keeps some tasks running, whatever happens to the server."""

    def __init__(self, dev):
        self.dev = dev
        self.tasks = []
        self.stopping = False
        self.thread = threading.Thread(target=self.feed)
        self.thread.start()

    def feed(self):
        while not self.stopping:
            try:
                waiting = [task for task in self.tasks[-12:] if self.dev.state(task) in ("pending", "running")]
                if len(waiting) < 6:
                    self.tasks.append(self.dev.shell(f"{LINES}; usleep {random.randrange(1, 1500)}000; exit 5"))
            except (OSError, http.client.HTTPException, Answer):
                pass
            time.sleep(0.05)

    def stop(self):
        self.stopping = True
        self.thread.join(30)


def test_kills_at_random_moments():
    kills = 40 if HEAVY else 8
    with Dev(slots=4) as dev:
        load = Load(dev)
        figures = []
        try:
            for _ in range(kills):
                time.sleep(random.uniform(0.1, 3))
                dev.kill()
                time.sleep(random.uniform(0, 0.5))
                dev.start()
        finally:
            load.stop()
        retried = 0
        for task in load.tasks:
            ended = dev.wait_resolved(task, 60)
            last = len(ended["runs"]) - 1
            retried += last
            expect_equal((ended["state"], run_of(ended, last)["exit"]["code"]), ("failed", 5), f"task {task}")
            # A piece of one stream may stand inside a line of the other: what is checked of both is their length.
            output = dev.output(task, last)
            expect_equal(len(output), BYTES, f"bytes of the log of {task}")
        dev.expect_nothing_left(40)
        figures = (dev.rss_kb(), dev.descriptors())
        print(f"       {kills} kills, {len(load.tasks)} tasks, {retried} retries, then {figures[0]} kB and "
              f"{figures[1]} descriptors")
        expect(figures[0] < 100 * 1024 and figures[1] < 100, f"memory and descriptors: {figures}")


run_tests(globals())
