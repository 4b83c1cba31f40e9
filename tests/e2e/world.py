"""What the tests share: one running `gantry dev`, and ways to call the program. Waits have a deadline and no fixed sleep."""

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "gantry/example:1"
WAIT_SECONDS_MAX = 60
POLL_SECONDS = 0.02


def wait_for(what, condition, seconds=WAIT_SECONDS_MAX):
    """The condition's value once it is true."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(POLL_SECONDS)


def expect(actual, expected, what=""):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def expect_in(part, whole, what=""):
    if part not in whole:
        raise AssertionError(f"{what}: expected {part!r} in {whole!r}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Ended:
    code: int
    out: bytes
    err: str

    @property
    def text(self):
        return self.out.decode()

    def json(self):
        return json.loads(self.out)


class Dev:
    """One `gantry dev`."""

    def __init__(self, gantry, data, *options, listen="127.0.0.1:0", env=None):
        self.gantry, self.data, self.options, self.listen = gantry, Path(data), options, listen
        self.env = env or {}
        self.log = Path(str(data) + ".log")
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            log.write(b"--- start\n")
            log.flush()
            at = log.tell()
            self.process = subprocess.Popen(
                [self.gantry, "dev", "--data-dir", self.data, "--listen", self.listen, *self.options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.env})

        def greeted():
            text = self.log.read_bytes()[at:].decode()
            if self.process.poll() is not None:
                raise AssertionError(f"gantry dev ended with {self.process.returncode}: {text}")
            return text if "\nCtrl-C" in text else None

        greeting = wait_for("gantry dev greets", greeted)
        self.url = greeting.split("listens on ")[1].split()[0]
        self.listen = self.url.removeprefix("http://")  # a restart takes the same port
        return greeting

    def kill(self):
        self.process.kill()
        self.process.wait()

    def remove_containers(self):
        """Those that a failed test has left behind."""
        agent_id = self.data / "agent/agent-id"
        if not agent_id.exists():
            return
        label = f"label=gantry.agent={agent_id.read_text().strip()}"
        left = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True).stdout.split()
        if left:
            subprocess.run(["docker", "rm", "-f", *left], capture_output=True)

    def stop(self, number=signal.SIGTERM):
        """Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=WAIT_SECONDS_MAX)


class Running:
    """A client that still runs, its output in files so that nothing blocks."""

    def __init__(self, argv, env, scratch, **more):
        self.out_path, self.err_path = scratch / "out", scratch / "err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(argv, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env, **more)

    def out(self):
        return self.out_path.read_bytes()

    def err(self):
        return self.err_path.read_text()

    def task_id(self):
        line = wait_for("the task's id on stderr", lambda: "task " in self.err() and self.err())
        return line.split("task ")[1].split(":")[0]

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds=WAIT_SECONDS_MAX):
        code = self.process.wait(timeout=seconds)
        return Ended(code, self.out(), self.err())


class World:
    def __init__(self, gantry, scratch):
        self.gantry, self.scratch = gantry, scratch
        self.count = 0
        self.others = []
        self.dev = Dev(gantry, scratch / "data")
        self.dev.start()

    def close(self):
        for dev in [*self.others, self.dev]:
            if dev.process and dev.process.poll() is None:
                dev.stop()
            dev.remove_containers()

    def other_dev(self, *options, **more):
        dev = Dev(self.gantry, self.directory("other") / "data", *options, **more)
        self.others.append(dev)
        return dev

    def server_log(self):
        return self.dev.log.read_text()[-4000:]

    def directory(self, name):
        self.count += 1
        path = self.scratch / f"{self.count}-{name}"
        path.mkdir()
        return path

    def environment(self, data=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("GANTRY_", "TASKCLUSTER_"))}
        return {**clean, "GANTRY_DATA_DIR": str(data or self.dev.data)}

    def call(self, *words, cwd=None, data=None, stdin=b"", env=None, seconds=WAIT_SECONDS_MAX):
        done = subprocess.run([self.gantry, *words], cwd=cwd or self.scratch, input=stdin, capture_output=True,
                              env={**self.environment(data), **(env or {})}, timeout=seconds)
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def run(self, *words, **more):
        return self.call("run", *words, **more)

    def sh(self, script, *options, **more):
        return self.run(*options, IMAGE, "sh", "-c", script, **more)

    def begin(self, *words, data=None, **more):
        return Running([self.gantry, *words], self.environment(data), self.directory("client"), **more)

    def begin_sh(self, script, *options, **more):
        return self.begin("run", *options, IMAGE, "sh", "-c", script, **more)

    def task(self, task_id):
        return self.call("task", "show", task_id, "--output", "json").json()

    def containers_of(self, task_id):
        """Ids of the containers, running or not, that carry the task's label."""
        done = subprocess.run(["docker", "ps", "-aq", "--filter", f"label=gantry.task={task_id}"], capture_output=True,
                              text=True)
        return done.stdout.split()
