#!/usr/bin/env python3
"""Settings from every source, metrics to statsd and events on stdout, of a real `gantry agent`."""

import socket
import subprocess

from agent_world import *


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GANTRY_", "STATSD_", "TASK_HOST", "DOCKER_HOST"))}
    return dict(kept, HOME=home, **more)


def gantry(*words, home, **more):
    return subprocess.run([GANTRY, *words], cwd=home, env=environment(home, **more), capture_output=True, text=True,
                          timeout=20)


def shown(*words, home, **more):
    done = gantry("settings", "show", "--json", *words, home=home, **more)
    expect_equal(done.returncode, 0, done.stderr)
    return {key: (entry["value"], entry["from"]) for key, entry in json.loads(done.stdout).items()}


def write(path, document):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(document, file)
    return path


def test_the_stronger_source_wins():
    with tempfile.TemporaryDirectory() as home:
        expect_equal(shown(home=home)["garbage.interval"], ("60s", "default"))
        expect_equal(shown("--profile", "test", home=home)["garbage.interval"], ("5s", "profile test"))
        user = write(f"{home}/.config/gantry/agent.json", {"garbage": {"interval": 6}, "slots": 1, "name": "user"})
        expect_equal(shown("--profile", "test", home=home)["garbage.interval"], ("6", user))
        write(f"{home}/gantry-agent.json", {"garbage": {"interval": "7s"}, "slots": 2})
        expect_equal(shown(home=home)["slots"], (2, "./gantry-agent.json"))
        more = write(f"{home}/more.json", {"slots": 3, "firewall": False})
        values = shown("--settings", more, home=home)
        expect_equal((values["slots"], values["firewall"], values["name"]),
                     ((3, more), (False, more), ("user", user)))
        values = shown("--settings", more, home=home, GANTRY_AGENT_SLOTS="4", STATSD_URL="udp://one:1")
        expect_equal((values["slots"], values["metrics.statsdUrl"]),
                     ((4, "$GANTRY_AGENT_SLOTS"), ("udp://one:1", "$STATSD_URL")))
        values = shown("--settings", more, "--slots", "5", home=home, GANTRY_AGENT_SLOTS="4")
        expect_equal(values["slots"], (5, "--slots"))


def test_mistakes_are_named():
    with tempfile.TemporaryDirectory() as home:
        file = write(f"{home}/a.json", {"garbage": {"intervall": 5}})
        done = gantry("settings", "check", file, home=home)
        expect_equal(done.returncode, 1)
        expect(f'{file}: there is no setting "garbage.intervall"' in done.stderr, done.stderr)
        expect("did you mean garbage.interval?" in done.stderr, done.stderr)
        write(file, {"slots": "many"})
        done = gantry("agent", "--settings", file, "--server", "http://127.0.0.1:1", home=home)
        expect(f"{file}: slots: must be a whole number, from 1 to 10000" in done.stderr, done.stderr)
        write(file, {"registries": f"{home}/registries"})
        write(f"{home}/registries", {})
        os.chmod(f"{home}/registries", 0o644)
        done = gantry("settings", "check", file, home=home)
        expect_equal((done.returncode, done.stdout), (0, f"{file}: fine\n"))
        expect("can be read by others" in done.stderr, done.stderr)
        done = gantry("settings", "show", "--profile", "prodution", home=home)
        expect("did you mean production?" in done.stderr, done.stderr)


class Statsd:
    """A statsd server's socket."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.lines = []

    def read(self):
        try:
            while True:
                self.lines.append(self.socket.recv(65536).decode())
        except BlockingIOError:
            return self.lines

    def count(self, name):
        return sum(1 for line in self.read() if line.endswith(f"{name}:1|c"))

    def has(self, name, kind):
        return any(re.fullmatch(rf"{re.escape(PREFIX)}\.{re.escape(name)}:\d+\|{kind}", line) for line in self.read())


PREFIX = "team.docker-worker.metrics.metrics.pool-x.m3-large"


class JoinedAgent:
    """A `gantry agent` that has joined a server of `dev`, with settings in a file."""

    def __init__(self, dev, home, settings):
        self.home = home
        with open(f"{dev.directory}/endpoint") as file:
            server = file.read().strip()
        token = gantry("node", "token", "--pool", "metrics/pool-x", "--ttl", "10m", "--data-dir", dev.directory, home=home)
        expect_equal(token.returncode, 0, token.stderr)
        with open(f"{home}/token", "w") as file:
            file.write(token.stdout)
        os.chmod(f"{home}/token", 0o600)
        path = write(f"{home}/gantry-agent.json", dict(settings, server=server, joinTokenFile=f"{home}/token",
                                                       dataDir=f"{home}/node", name="metrics"))
        self.output = open(f"{home}/events", "wb")
        self.errors = open(f"{home}/messages", "wb")
        self.process = subprocess.Popen([GANTRY, "agent"], cwd=os.path.dirname(path), env=environment(home),
                                        stdout=self.output, stderr=self.errors)

    def events(self):
        with open(f"{self.home}/events") as file:
            return [json.loads(line) for line in file if line.startswith("{") and line.endswith("}\n")]

    def types(self):
        return [event["type"] for event in self.events()]

    def messages(self):
        with open(f"{self.home}/messages", errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.output.close()
        self.errors.close()
        return code


def test_metrics_and_events_of_tasks():
    statsd = Statsd()
    with Dev() as dev, tempfile.TemporaryDirectory() as home:
        agent = JoinedAgent(dev, home, {"slots": 2, "onStop": "hand-back", "firewall": False, "metrics": {
            "events": True, "statsdUrl": f"udp://127.0.0.1:{statsd.port}", "statsdPrefix": "team",
            "workerNodeType": "m3.large"}})
        try:
            wait_for(lambda: "start" in agent.types(), 20, "the agent's first event")
            queue = "metrics/pool-x"
            scopes = ["docker-worker:cache:*"]
            for _ in range(2):
                task = dev.create("true", queue=queue, scopes=scopes, cache={"build.x": "/cache"})
                expect_equal(dev.wait_resolved(task)["state"], "completed", agent.messages())
            late = dev.create("sleep", "60", queue=queue, maxRunTime=1)
            expect_equal(dev.wait_resolved(late)["state"], "failed")
            cancelled = dev.create("sleep", "60", queue=queue)
            dev.wait_running(cancelled)
            dev.cancel(cancelled)
            wait_for(lambda: "cancel task" in agent.types(), 30, "the cancelled task is told of")
            events = agent.events()
            resolved = [event for event in events if event["type"] == "task resolved"]
            expect_equal([event["taskState"] for event in resolved], ["completed", "completed", "failed"])
            expect_equal([event["type"] for event in events if event.get("taskId") == late and event["type"] in (
                "claimed task", "task run", "task max runtime timeout", "task resolved")],
                ["claimed task", "task run", "task max runtime timeout", "task resolved"])
            expect(all(re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", event["time"]) for event in events), events)
            wait_for(lambda: statsd.read(), 10, "metrics arrive")
            expect(statsd.lines[0].startswith(PREFIX), statsd.lines)
            for name, times in (("started", 1), ("tasks.claims", 4), ("tasks.timed_out", 1), ("tasks.canceled", 1),
                                ("cache.volume.build-x.miss", 1), ("cache.volume.build-x.created", 1),
                                ("cache.volume.build-x.hit", 1)):
                wait_for(lambda: statsd.count(f"{PREFIX}.{name}") == times, 10, f"{name} is {times}")
            for name, kind in (("tasks.timed_out.max_run_time", "g"), ("tasks.time.to_reach_worker", "ms"),
                               ("tasks.time.total", "ms"), ("tasks.time.run", "ms"), ("tasks.time.completed", "ms"),
                               ("tasks.time.states.linked", "ms"), ("tasks.time.states.created", "ms"),
                               ("tasks.time.states.stopped", "ms"), ("tasks.time.states.killed", "ms")):
                expect(statsd.has(name, kind), f"{name}: {statsd.lines}")
        finally:
            code = agent.stop()
            with open(f"{home}/node/agent-id") as file:
                label = f"gantry.agent={file.read().strip()}"
            for container in dev.engine.containers(label):
                dev.engine.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            for volume in dev.engine.volumes(label):
                dev.engine.call("DELETE", f"/volumes/{volume['Name']}")
        expect_equal(code, 0, agent.messages())
        expect_equal(agent.types()[-1], "exit")


run_tests(globals())
