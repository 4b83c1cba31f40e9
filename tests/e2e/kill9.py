#!/usr/bin/env python3
"""Kills `gantry dev` with SIGKILL again and again while clients create and complete tasks, and looks for lost answers.

Usage: tests/e2e/kill9.py [--kills N] [--clients N] [--seed N]

Every answer that a client has read to its end is remembered. After each restart, on the same data directory and port, what
was answered since the last kill and a sample of everything older must be as it was answered, or further on; at the end that
is checked for all of it. A request that got no answer may have happened or not, but nothing else may have: every outcome
must have been asked for by somebody. One restart in ten is killed while it is still starting. Needs no container engine.
The program is $GANTRY, or build/release/gantry. The last line is "N passed, N failed": one for each kill, and the checks
at the end.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from kill9_client import Api, Credentials, Refused, Server, Unanswered, new_task_id, time_text
from kill9_ledger import Ledger, Problem

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "kill9/queue"
KILL_AFTER_S = (0.1, 1.5)
KILL_WHILE_STARTING_S = (0.0, 0.08)
SHARE_KILLED_WHILE_STARTING = 0.1
CLIENTS_SECONDS_MAX = 15
SAMPLE_TASKS = 40
RECENT_TASKS_MAX = 200
PROBLEMS_SHOWN_MAX = 5
FAILURES_MAX = 10
REASONS = (["completed"] * 5 + ["failed"] * 2 + ["worker-shutdown"] * 2 + ["malformed-payload"])


class Gate:
    """Closed while the server is down: clients wait in front of it, and the driver can wait until all of them do."""

    def __init__(self, clients):
        self.changed = threading.Condition()
        self.clients = clients
        self.open = False
        self.waiting = 0
        self.over = False

    def pass_through(self):
        """False when the run is over."""
        with self.changed:
            self.waiting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.open or self.over)
            self.waiting -= 1
            return not self.over

    def close(self):
        with self.changed:
            self.open = False

    def wait_for_all(self, seconds_max):
        with self.changed:
            if not self.changed.wait_for(lambda: self.waiting == self.clients, seconds_max):
                raise Problem(f"{self.clients - self.waiting} clients still wait for an answer of a server that is gone")

    def let_through(self, over=False):
        with self.changed:
            self.open = not over
            self.over = over
            self.changed.notify_all()


class Client(threading.Thread):
    """Creates tasks, claims one, and finishes it in a random way."""

    def __init__(self, number, server, ledger, gate, seed):
        super().__init__(name=f"client-{number}", daemon=True)
        self.random = random.Random(seed)
        self.worker = {"workerGroup": "kill9", "workerId": self.name}
        self.server, self.ledger, self.gate = server, ledger, gate
        self.api = Api(server, server.root)

    def run(self):
        while self.gate.pass_through():
            try:
                while self.gate.open:
                    self.work()
            except Unanswered:
                pass
            except Problem as problem:
                self.ledger.complain(problem)
            except Exception as error:  # a bug of this test must not look like success
                self.ledger.complain(Problem(f"{self.name}: {type(error).__name__}: {error}"))

    def work(self):
        self.create()
        if self.random.random() < 0.25:
            task_id = self.create()
            if self.random.random() < 0.4:
                self.cancel(task_id)
        claim = self.claim()
        if claim:
            try:
                self.finish(claim)
            except Refused as refused:
                # Another client may have cancelled it meanwhile; nothing else takes a run away.
                if refused.status != 409 or not self.ledger.may_be_cancelled(claim["status"]["taskId"]):
                    raise

    def create(self):
        task_id = new_task_id(self.random)
        definition = self.definition()
        self.ledger.will_create(task_id, definition)
        # A client that got no answer asks again with the same id.
        status = self.insist(lambda: self.api.put(f"/task/{task_id}", definition))
        self.ledger.answered(task_id, status)
        return task_id

    def definition(self):
        now = time.time()
        size = 20_000 if self.random.random() < 0.05 else 50
        return {
            "taskQueueId": QUEUE, "created": time_text(now), "deadline": time_text(now + 86_400), "retries": 2,
            "expires": time_text(now + 2 * 86_400), "priority": self.random.choice(["lowest", "low", "high"]),
            "payload": {"blob": self.random.randbytes(size).hex()},
            "metadata": {"name": self.name, "description": "", "owner": "", "source": "https://example.com/"},
        }

    def insist(self, act):
        """Repeats a request that may be repeated until it is answered; its status."""
        while True:
            try:
                return act()["status"]
            except Unanswered:
                if self.random.random() < 0.3 or not self.gate.pass_through():
                    raise

    def cancel(self, task_id):
        self.ledger.will_resolve(task_id, None, "canceled")
        self.ledger.answered(task_id, self.insist(lambda: self.api.post(f"/task/{task_id}/cancel")))

    def claim(self):
        self.ledger.will_claim(self.name)
        answer = self.api.claim_work(QUEUE, {**self.worker, "tasks": 1})
        if answer is None:
            return None  # nothing to do for a while
        self.ledger.claim_answered(self.name)
        for claim in answer["tasks"]:
            self.ledger.claimed(claim)
            return claim
        return None

    def finish(self, claim):
        task_id, run = claim["status"]["taskId"], claim["runId"]
        api = Api(self.server, Credentials.of(claim["credentials"]))
        base = f"/task/{task_id}/runs/{run}"
        if self.random.random() < 0.2:
            status = self.insist(lambda: api.post(f"{base}/reclaim"))
            self.ledger.answered(task_id, status)
        if self.random.random() < 0.4:
            self.make_artifacts(api, base, task_id, run, claim["task"]["expires"])
        if self.random.random() < 0.05:
            return  # still running when everything is checked
        if self.random.random() < 0.1:
            self.cancel(task_id)
            return
        self.report(api, base, task_id, run, self.random.choice(REASONS))

    def make_artifacts(self, api, base, task_id, run, expires):
        for _ in range(self.random.choice([1, 1, 2])):
            name = self.random.choice(["public/one", "private/two/three"])
            url = f"https://example.com/{self.random.random()}"
            self.ledger.will_point(task_id, run, name, url)
            api.post(f"{base}/artifacts/{name}", {
                "storageType": "reference", "expires": expires, "url": url, "contentType": "text/plain"})
            self.ledger.points(task_id, run, name, url)

    def report(self, api, base, task_id, run, reason):
        self.ledger.will_resolve(task_id, run, reason)

        def send():
            if reason in ("completed", "failed"):
                return api.post(f"{base}/{reason}")
            return api.post(f"{base}/exception", {"reason": reason})

        self.ledger.answered(task_id, self.insist(send))
        if self.random.random() < 0.1:
            api.post(f"{base}/{'failed' if reason == 'completed' else 'completed'}", expected=409)


class Checker:
    """Compares what the server says with the ledger."""

    def __init__(self, server, ledger, threads):
        self.api = Api(server, server.root)
        self.ledger = ledger
        self.threads = threads

    def check(self, task_ids):
        """The problems found."""
        problems = []

        def check_one(task_id):
            try:
                self.check_task(task_id)
            except Problem as problem:
                problems.append(problem)
            except Unanswered as error:
                problems.append(Problem(f"task {task_id}: no answer: {error}"))

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(check_one, task_ids))
        return problems

    def check_task(self, task_id):
        status = self.api.get(f"/task/{task_id}/status", expected=(200, 404))
        self.ledger.check_status(task_id, status.get("status"))
        if "status" not in status:
            return
        self.ledger.check_definition(task_id, self.api.get(f"/task/{task_id}"))
        for run, name in self.ledger.artifacts_of(task_id):
            found = self.api.get(f"/task/{task_id}/runs/{run}/artifacts/{name}", expected=(303, 404))
            self.ledger.check_artifact(task_id, run, name, found.get("url"))


class Run:
    def __init__(self, options, gantry, scratch):
        self.options = options
        self.random = random.Random(options.seed)
        self.server = Server(gantry, scratch)
        self.ledger = Ledger()
        self.gate = Gate(options.clients)
        self.problems = []
        self.passed = self.failed = 0
        self.kills_in_flight = self.kills_starting = 0
        self.restart_s = []

    def count(self, name, problems):
        problems = problems + self.ledger.take_complaints()
        if problems:
            self.failed += 1
            print(f"FAILED  {name}")
            for problem in problems[:PROBLEMS_SHOWN_MAX]:
                print(f"        {problem}", flush=True)
        else:
            self.passed += 1

    def kill(self):
        """One kill, the restart, and the check of a sample; clients are stopped meanwhile."""
        time.sleep(self.random.uniform(*KILL_AFTER_S))
        unanswered = self.ledger.unanswered
        self.gate.close()  # clients stop after what they are doing, which is what the kill interrupts
        self.server.kill()
        self.gate.wait_for_all(CLIENTS_SECONDS_MAX)
        self.kills_in_flight += self.ledger.unanswered > unanswered
        if self.random.random() < SHARE_KILLED_WHILE_STARTING:
            self.server.launch()
            time.sleep(self.random.uniform(*KILL_WHILE_STARTING_S))
            self.server.kill()
            self.kills_starting += 1
        self.restart_s.append(self.server.start())
        recent = self.ledger.take_touched()[-RECENT_TASKS_MAX:]
        older = self.ledger.sample(self.random, SAMPLE_TASKS)
        return self.checker.check(list(dict.fromkeys(recent + older)))

    def go(self):
        self.server.start()
        self.checker = Checker(self.server, self.ledger, self.options.clients)
        clients = [Client(i, self.server, self.ledger, self.gate, self.random.random()) for i in range(self.options.clients)]
        self.ledger.watch(Api.counter)
        for client in clients:
            client.start()
        for number in range(1, self.options.kills + 1):
            self.gate.let_through()
            self.count(f"kill {number}", self.kill())
            if self.failed >= FAILURES_MAX:
                print("too many failures: giving up")
                break
        self.gate.let_through(over=True)
        self.check_at_the_end()

    def check_at_the_end(self):
        started = time.monotonic()
        self.count("everything that was answered", self.checker.check(self.ledger.all()))
        self.count("claims that nobody knows of", self.ledger.check_lost_claims())
        self.check_s = time.monotonic() - started
        self.server.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    gantry = Path(os.environ.get("GANTRY", ROOT / "build/release/gantry")).resolve()
    if not os.access(gantry, os.X_OK):
        sys.exit(f"there is no program {gantry}: build it with scripts/build, or name another in $GANTRY")
    print(f"seed {options.seed} (of the kills' moments and the clients' choices; threads interleave as they like)", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gantry-kill9-") as scratch:
        run = Run(options, gantry, Path(scratch))
        try:
            run.go()
        except Problem as problem:
            run.count("the run", [problem])
        finally:
            run.server.kill()
    print(run.ledger.summary())
    if run.restart_s:
        print(f"{run.kills_in_flight} kills left requests without an answer; {run.kills_starting} more kills came during a start; "
              f"restart {1000 * sorted(run.restart_s)[len(run.restart_s) // 2]:.0f} ms (median), {1000 * max(run.restart_s):.0f} ms "
              f"(slowest); {time.monotonic() - started:.0f} s in all")
    if not run.kills_in_flight and run.options.kills > 10:
        run.count("kills", [Problem("no kill ever met a request: this has tested nothing")])
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    sys.exit(main())
