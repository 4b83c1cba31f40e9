#!/usr/bin/env python3
"""How an agent ends, on a real engine: signals, idleness, the notice of a cloud, worker-runner; and what becomes of its
tasks then. The instance metadata service and worker-runner are played by this program; no machine is shut down."""

import http.server
import signal
import subprocess
import threading

from agent_world import *

POOL = "team/linux"


class LifeServer(Server):
    """With one `gantry agent` at a time."""

    def start(self):
        super().start()
        self.token = os.path.join(self.directory, "token")
        with open(self.token, "w") as file:
            subprocess.run([GANTRY, "node", "token", "--pool", POOL, "--data-dir", self.directory], stdout=file,
                           stderr=subprocess.DEVNULL, check=True, timeout=60)
        self.agent = None
        self.down = os.path.join(self.directory, "down")  # made by the agent's shutdown command

    def start_agent(self, *options, name="worker", **pipes):
        # Always: without it, an agent that gives its machine up would do so.
        command = [GANTRY, "agent", "--server", f"http://127.0.0.1:{self.port}", "--join-token-file", self.token,
                   "--data-dir", os.path.join(self.directory, "agent"), "--slots", "2", "--verbose",
                   "--shutdown-command", f"touch {self.down}"] + (["--name", name] if name else []) + list(options)
        with open(os.path.join(self.directory, "messages"), "ab") as messages:
            self.agent = subprocess.Popen(command, stderr=messages, **{"stdin": subprocess.DEVNULL, "stdout": messages,
                                                                       **pipes})
        return self.agent

    def end_of_agent(self, seconds=30):
        return self.agent.wait(seconds)

    def end(self):
        if self.agent and self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        super().end()

    def messages(self):
        with open(os.path.join(self.directory, "messages"), errors="replace") as file:
            return file.read()

    def run_shell(self, script, **payload):
        return self.create("sh", "-c", script, queue=POOL, **payload)

    def reasons(self, task):
        return [(run["state"], run.get("reason")) for run in self.task(task)["runs"]]


HANDED_BACK = [("exception", "worker-shutdown"), ("pending", None)]


def expect_handed_back(server, task):
    expect_equal([(run["state"], run.get("reasonResolved")) for run in
                  server.get(f"/api/queue/v1/task/{task}/status")["status"]["runs"]], HANDED_BACK)
    expect(b"Task has been aborted prematurely. Reason: worker-shutdown" in server.log(task), server.log(task))
    expect("public/f" not in server.artifacts(task), "artifacts are skipped")


ARTIFACTS = {"public/f": {"type": "file", "path": "/etc/passwd"}}


def test_a_signal_leaves_tasks():
    with LifeServer() as server:
        server.start_agent()
        task = server.run_shell("sleep 3; echo over")
        container = server.wait_running(task)
        server.agent.send_signal(signal.SIGTERM)
        expect_equal(server.end_of_agent(), 0)
        expect_equal(server.engine.inspect(container)["State"]["Running"], True)
        server.start_agent()
        expect_equal(server.wait_resolved(task)["state"], "completed")
        expect_equal(len(server.task(task)["runs"]), 1)
        server.expect_nothing_left()


def test_a_signal_hands_tasks_back():
    with LifeServer() as server:
        server.start_agent("--on-stop", "hand-back")
        task = server.run_shell("echo up; sleep 60", artifacts=ARTIFACTS)
        server.wait_running(task)
        server.agent.send_signal(signal.SIGTERM)
        expect_equal(server.end_of_agent(), 0)
        expect_handed_back(server, task)
        expect(not os.path.exists(server.down), "a signal does not end the machine")
        server.expect_nothing_left()


def test_a_signal_lets_tasks_finish():
    with LifeServer() as server:
        server.start_agent("--on-stop", "finish")
        task = server.run_shell("sleep 4; echo over", artifacts=ARTIFACTS)
        server.wait_running(task)
        server.agent.send_signal(signal.SIGTERM)
        wait_for(lambda: "once the running tasks have ended" in server.messages(), 10, "it says so")
        late = server.run_shell("true")
        expect_equal(server.end_of_agent(), 0)
        expect_equal(server.state(task), "completed")
        expect("public/f" in server.artifacts(task), "with its artifact")
        expect_equal(server.state(late), "pending", "nothing more is claimed")
        server.expect_nothing_left()
        # A second signal ends the patience, and so does the limit.
        for options, signals in (("--on-stop", "finish"), 2), (("--on-stop", "finish", "--finish-within", "1s"), 1):
            server.cancel(late)
            server.start_agent(*options)
            late = server.run_shell("echo up; sleep 60", artifacts=ARTIFACTS)
            server.wait_running(late)
            seen = server.messages().count("once the running tasks have ended")
            server.agent.send_signal(signal.SIGTERM)
            wait_for(lambda: server.messages().count("once the running tasks have ended") > seen, 10, "it says so")
            if signals == 2:
                server.agent.send_signal(signal.SIGTERM)
            expect_equal(server.end_of_agent(), 0, f"{options}")
            expect_handed_back(server, late)
            server.expect_nothing_left()


def test_an_idle_machine_is_given_up():
    with LifeServer() as server:
        server.start_agent("--idle-shutdown", "--after-idle", "4s")
        task = server.run_shell("sleep 6")  # longer than it may be idle
        server.wait_running(task)
        expect_equal(server.end_of_agent(60), 0)
        expect_equal(server.state(task), "completed")
        expect(os.path.exists(server.down), "the command was run")
        # Its failure is the exit code.
        server.start_agent("--idle-shutdown", "--after-idle", "1s", "--shutdown-command", "echo no such thing; exit 9")
        expect_equal(server.end_of_agent(), 9)
        expect("no such thing" in server.messages(), "what it said is in the log")


def test_a_finishing_task_holds_the_machine():
    """A task that comes while the shutdown is pending takes it back."""
    with LifeServer() as server:
        server.start_agent("--idle-shutdown", "--after-idle", "3s")
        for _ in range(3):
            task = server.run_shell("true")
            expect_equal(server.wait_resolved(task)["state"], "completed")
            time.sleep(1.5)  # less than it may be idle
        expect_equal(server.agent.poll(), None)
        expect_equal(server.end_of_agent(), 0)
        expect(os.path.exists(server.down), "the command was run")


class MetadataStub:
    """A stub of AWS' instance metadata service: there is none here. With session tokens, as of version 2."""

    def __init__(self):
        self.documents = {
            "/2012-01-12/meta-data/instance-id": "i-0123456789abcdef0",
            "/2012-01-12/meta-data/ami-id": "ami-1",
            "/2012-01-12/meta-data/instance-type": "m5.large",
            "/2012-01-12/meta-data/placement/availability-zone": "eu-central-1a",
            "/2012-01-12/meta-data/public-hostname": "ec2-1.example",
        }
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, body=""):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_PUT(self):
                good = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
                self.answer(*((200, "a-token") if good else (404,)))

            def do_GET(self):
                if self.headers["X-aws-ec2-metadata-token"] != "a-token":
                    self.answer(401)
                else:
                    body = stub.documents.get(self.path)
                    self.answer(*((404,) if body is None else (200, body)))

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


def test_a_spot_notice_hands_tasks_back():
    with MetadataStub() as cloud, LifeServer() as server:
        server.start_agent("--host", "aws", "--metadata-url", cloud.url, name="")
        task = server.run_shell("echo up; sleep 60", artifacts=ARTIFACTS)
        server.wait_running(task)
        wait_for(lambda: b"Hostname: ec2-1.example" in server.log(task), 10, "the machine's public name")
        expect(b"Worker ID: i-0123456789abcdef0" in server.log(task), server.log(task))
        cloud.documents["/latest/meta-data/spot/termination-time"] = stamp(datetime.now(timezone.utc))
        expect_equal(server.end_of_agent(), 0)
        expect_handed_back(server, task)
        expect(os.path.exists(server.down), "the machine is given up at once")
        server.expect_nothing_left()


def test_a_file_gives_notice_too():
    with LifeServer() as server:
        path = os.path.join(server.directory, "host.json")
        with open(path, "w") as file:
            json.dump({"workerId": "of-the-file", "settings": {"slots": 1, "shutdown": {"command": "touch wrong"}}}, file)
        server.start_agent("--host", "test", "--host-file", path, name="")
        task = server.run_shell("echo up; sleep 60", artifacts=ARTIFACTS)
        server.wait_running(task)
        wait_for(lambda: b"Worker ID: of-the-file" in server.log(task), 10, "its name")
        nodes = json.loads(server.call("GET", "/v1/nodes"))
        expect_equal([node["slots"] for node in nodes["nodes"]], [2], "what was typed goes before")
        with open(path + ".new", "w") as file:
            json.dump({"terminationTime": stamp(datetime.now(timezone.utc))}, file)
        os.rename(path + ".new", path)
        expect_equal(server.end_of_agent(), 0)
        expect_handed_back(server, task)
        expect(os.path.exists(server.down), "the command that was typed was run")
        # What was not typed holds, and what cannot be is refused.
        for settings, says in (({"onStop": "hand-back"}, None), ({"onStopp": "finish"}, "onStop")):
            with open(path, "w") as file:
                json.dump({"workerId": "of-the-file", "settings": settings}, file)
            server.start_agent("--host", "test", "--host-file", path, name="")
            if says:
                expect_equal(server.end_of_agent(), 1)
                expect(says in server.messages().splitlines()[-1] + server.messages().splitlines()[-2], "it says why")
            else:
                server.wait_running(task)
                server.agent.terminate()
                expect_equal(server.end_of_agent(), 0)
                expect("running tasks are handed back" in server.messages(), "as the host says")


class Runner:
    """Plays Taskcluster's worker-runner, of which there is none here."""

    def __init__(self, server, *options):
        self.process = server.start_agent("--host", "worker-runner", *options, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE)
        self.messages, self.noise = [], []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith(b"~{"):
                self.messages.append(json.loads(line[1:]))
            else:
                self.noise.append(line)

    def say(self, **message):
        self.write(b"~" + json.dumps({key.replace("_", "-"): value for key, value in message.items()}).encode() + b"\n")

    def write(self, line):
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def greet(self, *capabilities):
        self.say(type="welcome", capabilities=list(capabilities))
        return wait_for(lambda: self.messages[:1], 20, "hello")[0]


def test_worker_runner_terminates():
    with LifeServer() as server:
        runner = Runner(server)
        runner.write(b"garbage\n~{ not json }\n" + b"x" * 200_000 + b"\n\xff\xfe\n")
        hello = runner.greet("graceful-termination", "shutdown", "log", "error-report", "teleport")
        expect_equal((hello["type"], sorted(hello["capabilities"])),
                     ("hello", ["error-report", "graceful-termination", "log", "shutdown"]))
        wait_for(lambda: any(b"worker" in line for line in runner.noise), 20, "what is for people comes between")
        task = server.run_shell("echo up; sleep 60", artifacts=ARTIFACTS)
        server.wait_running(task)
        runner.write(b"~{\"type\":\"graceful-termi")
        runner.write(b"nation\",\"finish-tasks\":false}\n")
        expect_equal(server.end_of_agent(), 0)
        expect_handed_back(server, task)
        expect(not os.path.exists(server.down), "the runner sees to the machine")
        server.cancel(task)

        runner = Runner(server)
        runner.greet("graceful-termination")
        task = server.run_shell("sleep 3")
        server.wait_running(task)
        runner.say(type="graceful-termination", finish_tasks=True)
        expect_equal(server.end_of_agent(), 0)
        expect_equal(server.state(task), "completed")
        server.expect_nothing_left()


def test_worker_runner_shuts_down():
    with LifeServer() as server:
        runner = Runner(server, "--idle-shutdown", "--after-idle", "3s")
        runner.greet("shutdown")
        expect_equal(server.end_of_agent(), 0)
        wait_for(lambda: runner.messages[1:] == [{"type": "shutdown"}], 5, f"it is asked to: {runner.messages}")
        expect(not os.path.exists(server.down), "instead of the command")
        # One that cannot: the command does it. And a runner that goes away ends nothing.
        runner = Runner(server, "--idle-shutdown", "--after-idle", "3s")
        runner.greet("log")
        runner.process.stdin.close()
        expect_equal(server.end_of_agent(), 0)
        expect(os.path.exists(server.down), "the command was run")


def test_an_engine_on_another_machine():
    """The engine is this machine's, but the agent is told that it is not; the proxy listens on the default bridge."""
    ask = "wget -q -O - $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID"
    features = {"taskclusterProxy": True}
    bridge = Engine().call("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"]
    with LifeServer() as server:
        server.start_agent("--task-host", "engine.example")
        task = server.run_shell(ask, features=features, scopes=["queue:get-task:*"])
        expect_equal(server.wait_resolved(task)["state"], "failed")
        expect(b"containers run on engine.example" in server.log(task), server.log(task))
        expect_equal(server.wait_resolved(server.run_shell("true"))["state"], "completed", "all else works")
        server.agent.terminate()
        server.end_of_agent()
        server.start_agent("--task-host", "engine.example", "--proxy-address", bridge)
        task = server.run_shell(f"grep taskcluster /etc/hosts; {ask}", features=features, scopes=["queue:get-task:*"])
        expect_equal(server.wait_resolved(task)["state"], "completed", server.log(task))
        expect(bridge.encode() in server.output(task) and b'"taskQueueId"' in server.output(task), server.log(task))
        server.expect_nothing_left()


run_tests(globals())
