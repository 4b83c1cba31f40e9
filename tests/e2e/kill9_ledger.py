"""For kill9.py: what the clients asked for and what they were answered, and whether the server still agrees with it."""

import threading


class Problem(Exception):
    """Something that must not be."""


RESOLVED = ("completed", "failed", "exception")
OUTCOMES = {"completed": "completed", "failed": "failed"}  # any other reason: exception


class Entry:
    def __init__(self, definition):
        self.definition = definition
        self.status = None        # the newest that was answered
        self.asked = set()        # (run, or None for the last one; reason): outcomes that somebody asked for
        self.artifacts = {}       # (run, name): URLs it may have; the first is the newest answered one, or None
        self.claims = set()       # run ids whose claim was answered


def is_resolved(run):
    return run["state"] in RESOLVED


def check_run(before, now):
    """`now` is the same run as `before`, or the same one further on."""
    if is_resolved(before):
        if before != now:
            raise Problem(f"a resolved run has changed: answered {before}, now {now}")
        return
    keep = ["runId", "reasonCreated", "scheduled"]
    if before["state"] == "running":
        keep += ["workerGroup", "workerId", "started"]
        if now["state"] == "pending":
            raise Problem(f"a claim that was answered is gone: answered {before}, now {now}")
        if now["state"] == "running" and now["takenUntil"] < before["takenUntil"]:
            raise Problem(f"a reclaim that was answered is gone: answered {before}, now {now}")
    for key in keep:
        if before.get(key) != now.get(key):
            raise Problem(f"{key} has changed: answered {before}, now {now}")


def check_successor(before, now):
    """A task that was answered as `before` may be as `now`."""
    for key in before:
        if key not in ("state", "runs", "retriesLeft") and before[key] != now.get(key):
            raise Problem(f"{key} has changed: answered {before[key]}, now {now.get(key)}")
    if len(now["runs"]) < len(before["runs"]) or now["retriesLeft"] > before["retriesLeft"]:
        raise Problem(f"a run is gone: answered {before}, now {now}")
    for old, new in zip(before["runs"], now["runs"]):
        check_run(old, new)
    if before["state"] in RESOLVED and before != now:
        raise Problem(f"a resolved task has changed: answered {before}, now {now}")


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.entries = {}
        self.touched = {}           # task ids since the last kill, in order
        self.unanswered_claims = {}  # by worker
        self.complaints = []
        self.counter = None

    # What the clients tell. "will_" comes before the request is sent.

    def watch(self, counter):
        self.counter = counter

    @property
    def unanswered(self):
        return self.counter.unanswered

    def will_create(self, task_id, definition):
        with self.lock:
            self.entries[task_id] = Entry(definition)
            self.touched[task_id] = True

    def will_resolve(self, task_id, run, reason):
        with self.lock:
            self.entries[task_id].asked.add((run, reason))
            self.touched[task_id] = True

    def will_point(self, task_id, run, name, url):
        with self.lock:
            self.entries[task_id].artifacts.setdefault((run, name), [None]).append(url)

    def points(self, task_id, run, name, url):
        with self.lock:
            self.entries[task_id].artifacts[run, name] = [url]

    def will_claim(self, worker):
        with self.lock:
            self.unanswered_claims[worker] = self.unanswered_claims.get(worker, 0) + 1

    def claim_answered(self, worker):
        with self.lock:
            self.unanswered_claims[worker] -= 1

    def claimed(self, claim):
        task_id = claim["status"]["taskId"]
        with self.lock:
            if task_id not in self.entries:
                raise Problem(f"claimed task {task_id}, which nobody created")
            self.entries[task_id].claims.add(claim["runId"])
        self.check_definition(task_id, claim["task"])
        self.answered(task_id, claim["status"])

    def answered(self, task_id, status):
        """A status that the server has given out. Two clients may learn of one task in either order."""
        with self.lock:
            entry = self.entries[task_id]
            self.touched[task_id] = True
            if entry.status is None:
                entry.status = status
                return
            try:
                check_successor(entry.status, status)
                entry.status = status
            except Problem as problem:
                try:
                    check_successor(status, entry.status)
                except Problem:
                    raise Problem(f"task {task_id}: {problem}") from None

    def complain(self, problem):
        with self.lock:
            self.complaints.append(problem)

    # What the driver asks.

    def take_complaints(self):
        with self.lock:
            complaints, self.complaints = self.complaints, []
            return complaints

    def take_touched(self):
        with self.lock:
            touched, self.touched = list(self.touched), {}
            return touched

    def all(self):
        with self.lock:
            return list(self.entries)

    def sample(self, source, count):
        known = self.all()
        return source.sample(known, min(count, len(known)))

    def may_be_cancelled(self, task_id):
        with self.lock:
            return (None, "canceled") in self.entries[task_id].asked

    def artifacts_of(self, task_id):
        with self.lock:
            return list(self.entries[task_id].artifacts)

    def check_status(self, task_id, found):
        """`found`: what the server says now; None: no such task. It becomes an answer like any other."""
        with self.lock:
            entry = self.entries[task_id]
            if found is None:
                if entry.status is not None:
                    raise Problem(f"task {task_id} is gone: it was answered as {entry.status}")
                return
            try:
                if entry.status is not None:
                    check_successor(entry.status, found)
                self.check_asked(entry, found)
            except Problem as problem:
                raise Problem(f"task {task_id}: {problem}") from None
            entry.status = found

    @staticmethod
    def check_asked(entry, found):
        """Every outcome was asked for by somebody."""
        for run in found["runs"]:
            reason = run.get("reasonResolved")
            if not is_resolved(run):
                if reason or "resolved" in run:
                    raise Problem(f"a run is both {run['state']} and resolved: {run}")
                continue
            if run["state"] != OUTCOMES.get(reason, "exception"):
                raise Problem(f"state and reason contradict each other: {run}")
            if not {(run["runId"], reason), (None, reason)} & entry.asked:
                raise Problem(f"nobody asked for this outcome: {run}; asked for: {entry.asked}")
        if found["state"] != found["runs"][-1]["state"]:
            raise Problem(f"the task's state is not that of its last run: {found}")

    def check_definition(self, task_id, found):
        with self.lock:
            sent = self.entries[task_id].definition
        for key, value in sent.items():
            if found.get(key) != value:
                raise Problem(f"task {task_id}: definition.{key} is not what was sent")

    def check_artifact(self, task_id, run, name, url):
        with self.lock:
            allowed = self.entries[task_id].artifacts[run, name]
            if url not in allowed:
                raise Problem(f"artifact {name} of run {run} of task {task_id} leads to {url}, not to {allowed}")

    def check_lost_claims(self):
        """Runs held by a worker that never heard of them: each stands for a claim without an answer."""
        held = {}
        with self.lock:
            for entry in self.entries.values():
                for run in entry.status["runs"] if entry.status else []:
                    if run["state"] == "running" and run["runId"] not in entry.claims:
                        held[run["workerId"]] = held.get(run["workerId"], 0) + 1
            return [Problem(f"{worker} holds {count} runs it never heard of, but only {self.unanswered_claims.get(worker, 0)} "
                            "of its claims had no answer")
                    for worker, count in held.items() if count > self.unanswered_claims.get(worker, 0)]

    def summary(self):
        with self.lock:
            states = {}
            artifacts = 0
            for entry in self.entries.values():
                state = entry.status["state"] if entry.status else "not created"
                states[state] = states.get(state, 0) + 1
                artifacts += len(entry.artifacts)
        parts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return (f"{len(self.entries)} tasks ({parts}), {artifacts} artifacts; {self.counter.answered} requests answered, "
                f"{self.counter.unanswered} not")
