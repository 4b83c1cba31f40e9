#!/usr/bin/env python3
"""`gantry agent --root-url`: a worker for the queue of a foreign Taskcluster. Our own server stands in for that: the
agent's client has the scopes of a docker-worker and no other, and a proxy between the two records that nothing but
Taskcluster's public API was asked for.

Usage: tests/integration/agent_foreign.py [PART-OF-A-NAME]
"""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

from broker import BROKER, Broker
from agent_world import GANTRY, Dev, expect, expect_contiguous, expect_equal, run_tests, wait_for

POOL = "foreign/worker"
PUBLIC = re.compile(r"/api/(queue|purge-cache|auth|index)/v1/")
REQUEST = re.compile(rb"(?:^|\n)(GET|POST|PUT|DELETE|HEAD) (\S+) HTTP/1\.1\r\n")


class Proxy:
    """Forwards bytes to the server, and remembers what was asked for. While `away` it refuses."""

    def __init__(self, port):
        self.target = port
        self.away = False
        self.requests = []
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            if self.away:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self.open |= {client, server}
            threading.Thread(target=self.copy, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, False), daemon=True).start()

    def copy(self, source, sink, requests):
        try:
            while data := source.recv(65536):
                if requests:
                    self.requests += [(m.group(1).decode(), m.group(2).decode()) for m in REQUEST.finditer(data)]
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            self.open.discard(end)
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def go_away(self):
        self.away = True
        for end in list(self.open):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
        self.go_away()


class Worker:
    """A server, and a `gantry agent --root-url` that reaches it through the proxy."""

    def __init__(self, https_logs=False, pulse=None):
        self.dev = Dev()
        self.pulse = pulse
        self.directory = tempfile.mkdtemp(prefix="gantry-foreign-")
        self.arguments = []
        if https_logs:
            key, certificate = (os.path.join(self.directory, name) for name in ("key.pem", "cert.pem"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-subj", "/CN=logs", "-keyout", key, "-out", certificate], check=True, capture_output=True)
            self.arguments = ["--live-log-cert", certificate, "--live-log-key", key]
        self.process = None

    def __enter__(self):
        self.dev.start()
        self.proxy = Proxy(self.dev.port)
        scopes = [f"queue:claim-work:{POOL}", "queue:worker-id:gantry/w1", f"purge-cache:purge-requests::{POOL}"]
        made = self.dev.call("PUT", "/api/auth/v1/clients/test%2Fdocker-worker",
                             {"description": "", "expires": "2099-01-01T00:00:00.000Z", "scopes": scopes})
        self.token = json.loads(made)["accessToken"]
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        if error:
            with open(os.path.join(self.directory, "messages"), errors="replace") as file:
                print("".join("    | " + line for line in file.readlines()[-40:]))
        self.process.terminate()
        self.process.wait(30)
        for container in self.containers():
            self.dev.engine.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        self.proxy.close()
        self.dev.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        environment = dict(os.environ, TASKCLUSTER_CLIENT_ID="test/docker-worker", TASKCLUSTER_ACCESS_TOKEN=self.token)
        environment.pop("GANTRY_URL", None)
        if self.pulse:
            environment["PULSE_URL"] = self.pulse
        command = [GANTRY, "agent", "--root-url", f"http://127.0.0.1:{self.proxy.port}", "--pool", POOL, "--worker-id",
                   "w1", "--data-dir", self.directory, "--slots", "4", "--verbose", "--no-firewall", "--live-log-listen",
                   "127.0.0.1:0", "--live-log-host", "127.0.0.1", "--engine", f"unix://{self.dev.engine.path}"] + self.arguments
        with open(os.path.join(self.directory, "messages"), "ab") as messages:
            self.process = subprocess.Popen(command, env=environment, stdout=messages, stderr=messages)

    def containers(self):
        with open(os.path.join(self.directory, "agent-id")) as file:
            return self.dev.engine.containers(f"gantry.agent={file.read().strip()}")

    def messages(self):
        with open(os.path.join(self.directory, "messages"), "rb") as file:
            return file.read()

    def claims(self):
        return os.listdir(os.path.join(self.directory, "claims"))

    def shell(self, script, **payload):
        return self.dev.shell(script, queue=POOL, **payload)

    def run(self, task):
        """Its last run as the queue's public API tells it."""
        return self.dev.get(f"/api/queue/v1/task/{task}/status")["status"]["runs"][-1]

    def wait(self, task):
        wait_for(lambda: self.dev.state(task) in ("completed", "failed", "exception"), 60, f"task {task} ends")
        return self.run(task)["reasonResolved"]

    def log(self, task, run=0):
        return self.dev.artifact(task, "public/logs/live_backing.log", run).read()

    def live_url(self, task):
        """Where the live log is while the task runs."""
        def url():
            answer = self.dev.open("GET", f"/api/queue/v1/task/{task}/runs/0/artifacts/public/logs/live.log")
            answer.read()
            return answer.status == 303 and answer.headers["Location"]
        return wait_for(url, 30, "the live log is announced")

    def expect_public_only(self):
        # An upload goes where the queue said.
        asked = [f"{method} {path}" for method, path in self.proxy.requests if not PUBLIC.match(path) and method != "PUT"]
        expect_equal(asked, [], "requests that no Taskcluster knows")
        expect(any("/claim-work/" in path for _, path in self.proxy.requests), "it has claimed")

    def expect_nothing_left(self):
        wait_for(lambda: not self.containers(), 10, "no container is left")
        wait_for(lambda: not self.claims(), 5, "no claim is kept")


def read_url(url, timeout=60):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        unverified = ssl._create_unverified_context()  # the certificate is the test's own
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=unverified)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_tasks_run_and_are_reported():
    with Worker() as worker:
        good = worker.shell("echo fine; echo made > /made",
                            artifacts={"public/made.txt": {"type": "file", "path": "/made"}})
        bad = worker.shell("echo no; exit 3")
        wrong = worker.dev.create("true", queue=POOL, comand=["true"])
        long = worker.shell("sleep 600", maxRunTime=2)
        again = worker.dev.create("sh", "-c", "exit 4", queue=POOL, retries=0, onExitStatus={"retry": [4]})
        shell = worker.shell("true", features={"interactive": True})
        expect_equal(worker.wait(good), "completed")
        expect_equal(worker.wait(bad), "failed")
        expect_equal(worker.wait(wrong), "malformed-payload")
        expect_equal(worker.wait(long), "failed")
        expect_equal(worker.wait(again), "intermittent-task")
        expect_equal(worker.wait(shell), "failed")
        expect_equal(worker.run(good)["workerId"], "w1")
        expect_equal(worker.dev.artifact(good, "public/made.txt").read(), b"made\n")
        log = worker.log(good)
        expect(b"\nfine\n" in log and log.endswith(b"seconds\n"), log)
        expect_equal(worker.dev.artifact(good, "public/logs/live.log").read(), log, "the live log leads to it")
        expect(b'did you mean "command"?' in worker.log(wrong), worker.log(wrong))
        expect(b"Task timeout after 2 seconds" in worker.log(long), worker.log(long))
        expect(b'"interactive" is not available on this worker' in worker.log(shell), worker.log(shell))
        worker.expect_nothing_left()
        worker.expect_public_only()


def test_the_live_log_is_served_by_the_agent():
    with Worker() as worker:
        task = worker.shell("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo out $i; sleep 0.01; done")
        url = worker.live_url(task)
        read = {}

        def follow(reader):
            read[reader] = read_url(url)

        readers = [threading.Thread(target=follow, args=(n,)) for n in range(3)]
        for reader in readers:
            reader.start()
            time.sleep(0.3)  # they begin at different moments
        expect_equal(read_url(url[:-3] + "AAA")[0], 401, "another token")
        expect_equal(worker.wait(task), "completed")
        for reader in readers:
            reader.join(20)
        whole = worker.log(task)
        expect_contiguous(whole, b"out", 300)
        for n in range(3):
            expect_equal(read.get(n), (200, whole), f"what reader {n} saw")
        wait_for(lambda: read_url(url)[0] == 401, 10, "it is there no longer")
        worker.expect_public_only()


def test_the_live_log_can_be_encrypted():
    with Worker(https_logs=True) as worker:
        task = worker.shell("sleep 1; echo over")
        url = worker.live_url(task)
        expect(url.startswith("https://"), url)
        status, log = read_url(url)
        expect_equal((status, log), (200, worker.wait(task) and worker.log(task)))


def test_a_killed_agent_goes_on():
    with Worker() as worker:
        task = worker.shell("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo out $i; sleep 0.1; done")
        lost = worker.shell("sleep 600")
        worker.dev.wait_running(task)
        gone = worker.dev.wait_running(lost)
        mode = os.stat(os.path.join(worker.directory, "claims", worker.claims()[0])).st_mode & 0o777
        expect_equal(mode, 0o600, "credentials are its own")
        worker.process.kill()
        worker.process.wait()
        worker.dev.engine.call("DELETE", f"/containers/{gone}?force=1")
        worker.start()
        expect_equal(worker.wait(task), "completed")
        expect_equal(worker.run(task)["runId"], 0, "its first run")
        expect_contiguous(worker.log(task), b"out", 60)
        runs = worker.dev.get(f"/api/queue/v1/task/{lost}/status")["status"]["runs"]
        expect_equal(runs[0]["reasonResolved"], "worker-shutdown", "what is gone is handed back")
        worker.dev.cancel(lost)


def test_a_server_that_is_away_is_waited_for():
    with Worker() as worker:
        task = worker.shell("sleep 2; echo over")
        worker.dev.wait_running(task)
        worker.proxy.go_away()
        wait_for(lambda: not [c for c in worker.dev.engine.of_task(task) if c["State"] == "running"], 20, "it has ended")
        time.sleep(1)
        expect_equal(worker.dev.state(task), "running", "nobody could be told")
        worker.proxy.away = False
        expect_equal(worker.wait(task), "completed")
        expect(b"\nover\n" in worker.log(task), worker.log(task))
        worker.expect_nothing_left()


def test_a_stopped_agent_leaves_its_tasks():
    with Worker() as worker:
        task = worker.shell("sleep 600")
        worker.dev.wait_running(task)
        worker.process.terminate()
        worker.process.wait(30)
        expect_equal(len(worker.containers()), 1, "it goes on without the agent")
        worker.start()
        worker.proxy.requests.clear()
        wait_for(lambda: any(p.endswith("/reclaim") for _, p in worker.proxy.requests), 20, "its claim is renewed")
        worker.dev.cancel(task)
        worker.process.kill()
        worker.process.wait()
        worker.start()
        worker.expect_nothing_left()  # the renewal is answered with 409


def test_pulse_tells_at_once():
    if not os.path.exists(BROKER):
        print("       there is no RabbitMQ here")
        return
    with Broker() as broker:
        os.environ["GANTRY_PULSE_URL"] = broker.url  # the server's events
        try:
            with Worker(pulse=broker.url) as worker:
                wait_for(lambda: b"pulse: listens to" in worker.messages(), 30, "the agent listens")
                expect(b"guest:" not in worker.messages(), "no password in the log")
                expect_cancelled_soon(worker)
                broker.kill()
                wait_for(lambda: b"cannot be listened to" in worker.messages(), 30, "the agent notices")
                task = worker.shell("echo without")
                expect_equal(worker.wait(task), "completed", "without a broker it asks")
                listens = worker.messages().count(b"pulse: listens to")
                broker.start()
                wait_for(lambda: worker.messages().count(b"pulse: listens to") > listens, 60, "it listens again")
                expect_cancelled_soon(worker)
                worker.expect_public_only()
                worker.expect_nothing_left()
        finally:
            del os.environ["GANTRY_PULSE_URL"]


def expect_cancelled_soon(worker):
    """Without pulse it would be seen in ten minutes."""
    task = worker.shell("sleep 600")
    worker.dev.wait_running(task)
    wait_for(lambda: worker.dev.engine.of_task(task), 20, "its container runs")
    worker.dev.cancel(task)
    wait_for(lambda: not worker.dev.engine.of_task(task), 20, "its container is gone")


run_tests(globals())
