#!/usr/bin/env python3
"""Many tasks of every kind, sixteen at a time, while tasks are cancelled, the container engine is killed and restarted, and
the agent is killed: every task is resolved exactly once and for the right reason, nothing is left, memory stays flat.

Usage: tests/integration/agent_soak.py [--tasks N] [--seed N]

TEST_HEAVY=1 is 2,000 tasks, else 160. The seed chooses the tasks and the faults; how they fall together is chance.
"""

import argparse
import collections
import random
import re

from agent_world import *
from own_dockerd import Dockerd

SLOTS = 16
MEGABYTE = 1 << 20
# What ends a run that another follows: the agent or its engine went away.
INTERRUPTED = {"worker-shutdown", "claim-expired"}
RSS_KB_MAX = 120 * 1024


class Kind:
    """A sort of task: how it is made, and how its last run may end."""

    def __init__(self, weight, reasons, command, cancelled=False, **payload):
        self.weight, self.reasons, self.command = weight, reasons, command
        self.cancelled, self.payload = cancelled, payload


def shell(script):
    return ["sh", "-c", script]


ARTIFACT = {"public/out": {"type": "file", "path": "/out"}}
KINDS = {
    "succeeds": Kind(8, {"completed"}, shell("echo out; echo err >&2")),
    "takes a while": Kind(4, {"completed"}, shell("for i in 1 2 3 4; do echo $i; sleep 0.5; done")),
    "fails": Kind(4, {"failed"}, shell("echo no; exit 3")),
    "has an artifact": Kind(4, {"completed"}, shell("head -c 300000 /dev/zero > /out"), artifacts=ARTIFACT),
    "lacks its artifact": Kind(1, {"failed"}, ["true"], artifacts=ARTIFACT),
    "kills itself": Kind(1, {"failed"}, shell("kill -9 $$")),
    "takes too much memory": Kind(1, {"failed"}, ["tail", "/dev/zero"], resources={"memory": 16 * MEGABYTE}),
    "takes too long": Kind(1, {"failed"}, shell("trap '' TERM; sleep 300"), maxRunTime=2),
    "has no such command": Kind(1, {"failed"}, ["no-such-command"]),
    "is cancelled": Kind(4, {"canceled", "completed"}, shell("trap '' TERM; sleep 8 & wait"), cancelled=True),
    "is tried again": Kind(1, {"completed"}, shell("[ $RUN_ID != 0 ] || exit 9"), onExitStatus={"retry": [9]}),
}


class Soak:
    def __init__(self, dockerd, dev, count, seed):
        self.dockerd, self.dev, self.count = dockerd, dev, count
        self.random = random.Random(seed)
        self.kinds = {}  # of the tasks made so far
        self.open = []
        self.to_cancel = []
        self.faults = collections.Counter()
        self.rss = []

    def patient(self, work):
        """The server that is being killed is this test's own: what it has not answered is asked again."""
        until = time.monotonic() + 60
        while True:
            try:
                return work()
            except (OSError, http.client.HTTPException):
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def create_some(self):
        names = list(KINDS)
        weights = [KINDS[name].weight for name in names]
        while len(self.open) < 3 * SLOTS and len(self.kinds) < self.count:
            name = self.random.choices(names, weights)[0]
            task = make_slugid()
            self.patient(lambda: self.dev.create(*KINDS[name].command, task=task, retries=40, **KINDS[name].payload))
            self.kinds[task] = name
            self.open.append(task)
            if KINDS[name].cancelled:
                self.to_cancel.append((time.monotonic() + self.random.uniform(0, 12), task))

    def cancel_some(self):
        due = [entry for entry in self.to_cancel if entry[0] <= time.monotonic()]
        for entry in due:
            self.to_cancel.remove(entry)
            try:
                self.patient(lambda: self.dev.cancel(entry[1]))
                self.faults["cancels"] += 1
            except Answer as refused:
                expect_equal(refused.status, 409, "what a cancel is refused with")

    def forget_resolved(self):
        def is_open(task):
            return self.patient(lambda: self.dev.state(task)) in ("pending", "running", "unscheduled")
        self.open = [task for task in self.open if is_open(task)]

    def disturb(self):
        fault = self.random.choice(["agent", "agent", "engine killed", "engine restarted"])
        self.faults[fault] += 1
        if fault == "agent":
            self.dev.kill()
            self.dev.start()
        elif fault == "engine killed":
            self.dockerd.kill()
            time.sleep(self.random.uniform(0, 3))
            self.dockerd.start()
        else:
            self.dockerd.terminate()
            self.dockerd.start()

    def run(self):
        next_fault = time.monotonic() + self.random.uniform(8, 15)
        next_look = 0
        last_progress, left = time.monotonic(), None
        while self.open or len(self.kinds) < self.count:
            self.create_some()
            self.cancel_some()
            self.forget_resolved()
            now = time.monotonic()
            if now >= next_look:
                self.rss.append(self.dev.rss_kb())
                next_look = now + 5
            if now >= next_fault and len(self.kinds) < self.count:
                self.disturb()
                next_fault = time.monotonic() + self.random.uniform(8, 20)
            if (len(self.kinds), len(self.open)) != left:
                last_progress, left = now, (len(self.kinds), len(self.open))
            expect(now - last_progress < 120, f"no task ends any more; open: {self.open[:5]}")
            time.sleep(0.2)

    def check(self):
        resolved = self.resolutions()
        ends = collections.Counter()
        for task, name in self.kinds.items():
            runs = self.dev.task(task)["runs"]
            reasons = [run.get("reason") for run in runs]
            allowed = KINDS[name].reasons
            what = f"task {task}, which {name}: its runs {reasons}"
            expect(reasons[-1] in allowed, what)
            between = INTERRUPTED | ({"intermittent-task"} if name == "is tried again" else set())
            expect(all(reason in between for reason in reasons[:-1]), what)
            expect_equal(resolved[task], 1, f"how often {task} was resolved")
            if reasons[-1] == "completed" and "artifacts" in KINDS[name].payload:
                expect_equal(len(self.dev.artifact(task, "public/out", len(runs) - 1).read()), 300000, what)
            ends[reasons[-1]] += 1
        return ends

    def resolutions(self):
        """How often each task was resolved, by the events."""
        counts = collections.Counter()
        kinds = "task-completed,task-failed,task-exception"
        answer = self.dev.open("GET", f"/v1/events?after=0&follow=false&kind={kinds}")
        for line in answer.read().split(b"\n"):
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line[5:])
            status = event["message"]["status"] if "message" in event else event["status"]
            # A run that is tried again has an event, too, at which its task is pending.
            if status["state"] in ("completed", "failed", "exception"):
                counts[status["taskId"]] += 1
        return counts

    def expect_nothing_left(self):
        self.dev.expect_nothing_left(60)
        expect_equal(self.dev.volumes(), [], "volumes")
        networks = {network["Name"] for network in self.dockerd.call("GET", "/networks")[1]}
        expect(networks <= {"bridge", "host", "none", "gantry-tasks"}, f"networks: {networks}")


def test_everything_ends_right_whatever_happens():
    if os.geteuid() != 0:
        print("       skipped: needs root")
        return
    dockerd = Dockerd()
    try:
        dockerd.start()
        dockerd.make_image()
        with Dev(engine=dockerd, slots=SLOTS) as dev:
            soak = Soak(dockerd, dev, options.tasks, options.seed)
            began = time.monotonic()
            soak.run()
            took = time.monotonic() - began
            ends = soak.check()
            soak.expect_nothing_left()
            print(f"       {options.tasks} tasks in {took:.0f} s, seed {options.seed}: {dict(ends)}; {dict(soak.faults)}")
            print(f"       memory: {soak.rss[0] // 1024} MB at first, {max(soak.rss) // 1024} MB at most,"
                  f" {soak.rss[-1] // 1024} MB at the end")
            expect(max(soak.rss) < RSS_KB_MAX, "memory grows")
    finally:
        dockerd.end()


parser = argparse.ArgumentParser()
parser.add_argument("--tasks", type=int, default=2000 if HEAVY else 160)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
options = parser.parse_args()
sys.argv[1:] = []
run_tests(globals())
