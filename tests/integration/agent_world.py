"""What the agent's integration tests share: a `gantry dev` of their own, its API signed with Hawk, the container engine.

A test program defines functions test_*(), and ends with run_tests(globals()). Environment:
  GANTRY       the program under test (default: build/release/gantry)
  TEST_HEAVY   set: long loops instead of short ones
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
from datetime import datetime, timedelta, timezone

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
GANTRY = os.environ.get("GANTRY", os.path.join(ROOT, "build/release/gantry"))
HEAVY = bool(os.environ.get("TEST_HEAVY"))
IMAGE = "gantry/example:1"
DEFAULT_SOCKET = "/var/run/docker.sock"


def wait_for(condition, seconds, what):
    """The first true value of condition(); fails after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """Docker's API, as little of it as the tests look at."""

    def __init__(self, path=DEFAULT_SOCKET):
        self.path = path

    def call(self, method, target, timeout=30):
        connection = UnixConnection(self.path, timeout)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body.startswith((b"{", b"[")) else body
        finally:
            connection.close()

    def answers(self):
        try:
            return self.call("GET", "/_ping", 5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def containers(self, label):
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        return self.call("GET", f"/containers/json?all=1&filters={filters}")[1]

    def of_task(self, task):
        return self.containers(f"gantry.task={task}")

    def volumes(self, label):
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        return self.call("GET", f"/volumes?filters={filters}")[1]["Volumes"] or []

    def inspect(self, container):
        return self.call("GET", f"/containers/{container}/json")[1]

    def make_image(self):
        environment = dict(os.environ, DOCKER_HOST=f"unix://{self.path}")
        subprocess.run([os.path.join(ROOT, "scripts/lib/busybox-image.sh")], env=environment, check=True)


class Answer(Exception):
    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body[:500]!r}")
        self.status = status


class Dev:
    """A `gantry dev` on a data directory of its own; start() and kill() as often as wanted, always on the same port."""

    def __init__(self, engine=None, slots=4, arguments=()):
        self.directory = tempfile.mkdtemp(prefix="gantry-test-")
        self.engine = engine or Engine()
        self.slots = slots
        self.arguments = list(arguments)
        self.port = 0
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        if error:
            print(f"    | gantry dev's exit code: {self.process.poll()}")
            self.show_messages()
        self.end()

    def command(self):
        return [GANTRY, "dev", "--data-dir", self.directory, "--listen", f"127.0.0.1:{self.port}", "--verbose",
                "--engine", f"unix://{self.engine.path}", "--slots", str(self.slots)] + self.arguments

    def start(self):
        # A crash must not leave a stale port file that start() would take for the new one.
        endpoint = os.path.join(self.directory, "endpoint")
        if os.path.exists(endpoint):
            os.remove(endpoint)
        with open(os.path.join(self.directory, "messages"), "ab") as messages:
            self.process = subprocess.Popen(self.command(), stdout=messages, stderr=messages)
        wait_for(lambda: os.path.exists(endpoint) and os.path.getsize(endpoint) or self.process.poll() is not None, 20,
                 "gantry listens")
        if self.process.poll() is not None:
            self.show_messages()
            raise AssertionError(f"gantry ended with {self.process.returncode}")
        with open(endpoint) as file:
            self.port = int(file.read().strip().rsplit(":", 1)[1])
        with open(os.path.join(self.directory, "credentials.json")) as file:
            self.credentials = json.load(file)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.terminate()
        return self.process.wait(30)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.engine.answers():
            for container in self.containers():
                self.engine.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            for volume in self.volumes():
                target = f"/volumes/{volume['Name']}"  # a container that is still being removed has it
                wait_for(lambda: self.engine.call("DELETE", target)[0] in (204, 404), 10, f"DELETE {target}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def show_messages(self):
        with open(os.path.join(self.directory, "messages"), errors="replace") as file:
            lines = file.readlines()
        print("".join("    | " + line for line in lines[-40:]))

    # What it leaves.

    def agent_id(self):
        with open(os.path.join(self.directory, "agent/agent-id")) as file:
            return file.read().strip()

    def containers(self):
        try:
            return self.engine.containers(f"gantry.agent={self.agent_id()}")
        except FileNotFoundError:
            return []

    def volumes(self):
        try:
            return self.engine.volumes(f"gantry.agent={self.agent_id()}")
        except FileNotFoundError:
            return []

    def spools(self):
        return os.listdir(os.path.join(self.directory, "agent/spool"))

    def expect_nothing_left(self, seconds=10):
        wait_for(lambda: not self.containers(), seconds, "no container is left")
        wait_for(lambda: not self.spools(), 5, "no spool is left")

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # Its API.

    def sign(self, method, target):
        ts, nonce = str(int(time.time())), secrets.token_hex(4)
        text = f"hawk.1.header\n{ts}\n{nonce}\n{method}\n{target}\n127.0.0.1\n{self.port}\n\n\n"
        key = self.credentials["accessToken"].encode()
        mac = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        return f'Hawk id="{self.credentials["clientId"]}", ts="{ts}", nonce="{nonce}", mac="{mac}"'

    def open(self, method, target, body=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": self.sign(method, target)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        return connection.getresponse()

    def call(self, method, target, body=None, timeout=60):
        answer = self.open(method, target, body, timeout)
        data = answer.read()
        if answer.status >= 400:
            raise Answer(answer.status, data)
        return data

    def get(self, target):
        return json.loads(self.call("GET", target))

    def create(self, *command, queue="local/default", scopes=(), task=None, retries=5, **payload):
        """A task of `command`; other keyword arguments go into the payload. Its id."""
        task = task or make_slugid()
        now = datetime.now(timezone.utc)
        definition = {
            "taskQueueId": queue, "scopes": list(scopes), "retries": retries, "created": stamp(now),
            "deadline": stamp(now + timedelta(hours=1)),
            "payload": dict({"image": IMAGE, "command": list(command), "maxRunTime": 600}, **payload),
            "metadata": {"name": "test", "description": "", "owner": "test@localhost", "source": "http://localhost/"},
        }
        self.call("PUT", f"/api/queue/v1/task/{task}", definition)
        return task

    def shell(self, script, **payload):
        return self.create("sh", "-c", script, **payload)

    def cancel(self, task):
        self.call("POST", f"/api/queue/v1/task/{task}/cancel", {})

    def task(self, task):
        return self.get(f"/v1/tasks/{task}")

    def state(self, task):
        return self.get(f"/api/queue/v1/task/{task}/status")["status"]["state"]

    def wait_running(self, task, seconds=30):
        """Until its container runs; that container."""
        def running():
            return [c for c in self.engine.of_task(task) if c["State"] == "running"]
        return wait_for(running, seconds, f"task {task} runs")[0]["Id"]

    def processes(self, task):
        """The command lines in its container, as `ps` shows them."""
        answer = self.engine.call("GET", f"/containers/{self.engine.of_task(task)[0]['Id']}/top?ps_args=-eo%20pid,args")[1]
        return "\n".join(words[-1] for words in answer["Processes"])

    def wait_resolved(self, task, seconds=60):
        wait_for(lambda: self.state(task) in ("completed", "failed", "exception"), seconds, f"task {task} ends")
        return self.task(task)

    def log(self, task, run=0):
        return self.call("GET", f"/v1/tasks/{task}/runs/{run}/log?follow=false")

    def output(self, task, run=0):
        """The log without the agent's own lines; a line break of its own is CR LF."""
        log = self.log(task, run)
        return re.sub(rb"(?:(?<=\n)|^|\r\n)\[taskcluster[^\n]*\n", b"", log)

    def artifacts(self, task, run=0):
        answer = self.get(f"/api/queue/v1/task/{task}/runs/{run}/artifacts")
        return {artifact["name"]: artifact for artifact in answer["artifacts"]}

    def artifact(self, task, name, run=0):
        """Its response, redirections followed."""
        target = f"/api/queue/v1/task/{task}/runs/{run}/artifacts/{name}"
        for _ in range(3):
            answer = self.open("GET", target)
            if answer.status not in (302, 303, 307):
                return answer
            url = urllib.parse.urlsplit(answer.headers["Location"])
            answer.read()
            target = url.path + ("?" + url.query if url.query else "")
        raise AssertionError("too many redirections")


class Server(Dev):
    """A `gantry server`, which has no agent of its own, with the calls of Dev."""

    def command(self):
        return [GANTRY, "server", "--data-dir", self.directory, "--listen", f"127.0.0.1:{self.port}"]


def make_slugid():
    raw = bytearray(secrets.token_bytes(16))
    raw[0] &= 0x7F
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return base64.urlsafe_b64encode(bytes(raw)).decode()[:22]


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def run_of(task, number):
    return task["runs"][number]


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def expect_equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r:.2000}, wanted {wanted!r:.2000}")


def numbered(output, prefix):
    """The numbers of the lines that begin with `prefix`, in order."""
    return [int(n) for n in re.findall(rb"(?m)^" + prefix + rb" (\d+)\r?$", output)]


def expect_contiguous(output, prefix, count=None):
    numbers = numbered(output, prefix)
    for place, number in enumerate(numbers):
        expect_equal(number, place + 1, f"line {place + 1} of {prefix!r}, of {len(numbers)}")
    if count is not None:
        expect_equal(len(numbers), count, f"lines of {prefix!r}")


def run_tests(names):
    """Runs the test_* functions (those whose names contain an argument, if there are arguments)."""
    if not os.path.exists(GANTRY):
        print(f"{GANTRY} is missing: run scripts/build release gantry")
        sys.exit(77)
    wanted = sys.argv[1:]
    tests = [(name, function) for name, function in names.items() if name.startswith("test_") and callable(function)]
    tests = [test for test in tests if not wanted or any(word in test[0] for word in wanted)]
    engine = Engine()
    if engine.answers():
        engine.make_image()
    failed = 0
    for name, function in tests:
        began = time.monotonic()
        try:
            function()
            outcome = "ok"
        except Exception:  # the next test runs in any case
            traceback.print_exc(file=sys.stdout)
            outcome = "FAILED"
            failed += 1
        print(f"{outcome:6} {name} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
