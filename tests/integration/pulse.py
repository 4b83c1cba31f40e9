#!/usr/bin/env python3
"""Events in a real RabbitMQ: a consumer (npm's amqplib) sees every event at least once and in order per task, while the
broker is killed, restarted and stopped; over TLS, too. Every message that a consumer gets is held against the schema and
the routing key that the server publishes for its exchange.

Usage: tests/integration/pulse.py [--tasks N] [--kills N] [PART-OF-A-NAME]

The broker is the test's own: a node name, ports, a data directory and an epmd of its own. TEST_HEAVY=1 is 10,000 tasks and
5 kills, else 2,000 and 2. Exits with 77 if there is no RabbitMQ here.
"""

import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone

from broker import BROKER, START_SECONDS_MAX, Authority, Broker
from agent_world import HEAVY, ROOT, Dev, expect, expect_equal, make_slugid, run_tests, stamp, wait_for

CONFORMANCE = os.path.join(ROOT, "tests/conformance")
TASK_QUEUE = "pulse/test"
LIFE = ["task-defined", "task-pending", "task-running", "task-completed"]

documents = os.path.join(tempfile.mkdtemp(prefix="gantry-pulse-"), "documents.json")
options = argparse.Namespace(tasks=10_000 if HEAVY else 2_000, kills=5 if HEAVY else 2)


def expect_valid(messages):
    done = subprocess.run(["node", "pulse_check.js", documents], cwd=CONFORMANCE, text=True, capture_output=True,
                          input="".join(json.dumps(message) + "\n" for message in messages), timeout=120)
    expect(done.returncode == 0, f"every message is of its schema: {done.stdout}{done.stderr}")
    print("    " + done.stdout.strip())


class Consumer:
    """The node program, its lines read as they come."""

    def __init__(self, broker, name="queue/test/events"):
        environment = dict(os.environ)
        if broker.authority:
            environment["NODE_EXTRA_CA_CERTS"] = broker.authority.file("ca.pem")
        self.process = subprocess.Popen(["node", "pulse_consumer.js", broker.url, name], cwd=CONFORMANCE,
                                        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.messages = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        expect(self.ready.wait(START_SECONDS_MAX), "the consumer is ready")
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        if not error and self.messages:
            expect_valid(self.messages)

    def read(self):
        for line in self.process.stdout:
            if line == "ready\n":
                self.ready.set()
            else:
                self.messages.append(json.loads(line))

    def lives(self):
        """What was seen of each task, the first time each: {task: [event, ...]}."""
        lives = collections.defaultdict(list)
        for message in list(self.messages):
            status = message["body"].get("status")
            if status and message["event"] not in lives[status["taskId"]]:
                lives[status["taskId"]].append(message["event"])
        return lives


class PulseDev(Dev):
    """A `gantry dev` that sends its events to the broker. Its tasks are claimed by the test itself."""

    def __init__(self, broker, url=None, authority=None, arguments=()):
        super().__init__(arguments=arguments)
        self.variables = {"GANTRY_PULSE_URL": url or broker.url}
        if authority:
            self.variables["SSL_CERT_FILE"] = authority.file("ca.pem")

    def start(self):
        os.environ.pop("SSL_CERT_FILE", None)
        os.environ.update(self.variables)
        super().start()
        if not os.path.exists(documents):
            self.write_documents()
        return self

    def write_documents(self):
        """What this gantry publishes of its exchanges, for expect_valid()."""
        def read(path):
            return json.loads(self.call("GET", path))
        found = {"exchanges": read("/references/queue/v1/exchanges.json"),
                 "schemas": [read(path) for path in read("/schemas/manifest.json")["schemas"]]}
        with open(documents, "w") as file:
            json.dump(found, file)

    def make_task(self, **more):
        task = make_slugid()
        now = datetime.now(timezone.utc)
        self.call("PUT", f"/api/queue/v1/task/{task}", dict({
            "taskQueueId": TASK_QUEUE, "created": stamp(now), "deadline": stamp(now + timedelta(hours=1)), "payload": {},
            "metadata": {"name": "test", "description": "", "owner": "test@localhost", "source": "http://localhost/"},
        }, **more))
        return task

    def claim_one(self):
        """The path of the run that was claimed."""
        claim = json.loads(self.call("POST", f"/api/queue/v1/claim-work/{TASK_QUEUE}",
                                     {"workerGroup": "here", "workerId": "tester", "tasks": 1}))["tasks"][0]
        return f"/api/queue/v1/task/{claim['status']['taskId']}/runs/{claim['runId']}"

    def complete_one(self):
        self.call("POST", self.claim_one() + "/completed", {})

    def pulse(self):
        """The metrics about the broker."""
        text = self.call("GET", "/metrics").decode()
        found = {}
        for line in text.splitlines():
            if line.startswith("gantry_pulse{"):
                found[line.split('"')[1]] = float(line.split()[-1])
        return found


def run_lives(dev, count, may_begin=lambda begun: True):
    """Tasks from creation to their end, by several threads, each begun once may_begin(how many were). Their ids."""
    lock = threading.Lock()
    tasks, failures = [], []
    begun = 0

    def take_turn():
        nonlocal begun
        with lock:
            turn = begun < count and may_begin(begun)
            begun += turn
            return turn, begun >= count

    def work():
        while not failures:
            turn, over = take_turn()
            if turn:
                try:
                    tasks.append(dev.make_task())
                    dev.complete_one()
                except Exception as error:  # pylint: disable=broad-except
                    failures.append(error)
            elif over:
                return
            else:
                time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return tasks


def expect_all_seen(consumer, tasks, seconds):
    def missing():
        expect(consumer.process.poll() is None, "the consumer runs")
        lives = consumer.lives()
        return [task for task in tasks if set(LIFE) - set(lives[task])]
    wait_for(lambda: not missing(), seconds, f"every event of {len(tasks)} tasks was seen")
    lives = consumer.lives()
    for task in tasks:
        expect_equal(lives[task], LIFE, f"the order of {task}'s events")


def test_messages_as_consumers_expect_them():
    with Broker() as broker, Consumer(broker) as consumer, PulseDev(broker) as dev:
        task = dev.make_task(routes=["index.a.b", "notify.email"], tags={"os": "linux"})
        dev.complete_one()
        expect_all_seen(consumer, [task], 30)
        first = {message["event"]: message for message in consumer.messages}
        running = first["task-running"]
        expect_equal(running["routingKey"], f"primary.{task}.0.here.tester.pulse.test.-.{task}._")
        expect_equal(running["contentType"], "application/json")
        expect(running["persistent"], "messages are persistent")
        expect_equal(running["body"]["version"], 1)
        expect_equal(running["body"]["workerId"], "tester")
        expect(running["body"]["takenUntil"] > stamp(datetime.now(timezone.utc)), "takenUntil is to come")
        expect_equal(sum(message["event"] == "task-running" for message in consumer.messages), 1,
                     "a message that fits several bindings comes once")
        wait_for(lambda: dev.pulse()["published"] >= 4, 10, "the broker has confirmed them")
        expect_equal(dev.pulse()["connected"], 1)
        expect_equal(dev.pulse()["lost"], 0)


def test_routes_and_tags():
    with Broker() as broker, Consumer(broker) as consumer, PulseDev(broker) as dev:
        task = dev.make_task(routes=["index.a.b", "notify.email"], tags={"os": "linux"})
        wait_for(lambda: task in consumer.lives(), 30, "the task is seen")
        message = consumer.messages[0]
        expect_equal(message["cc"], ["route.index.a.b", "route.notify.email"])
        expect_equal(message["body"]["task"], {"tags": {"os": "linux"}})
        plain = dev.make_task()
        wait_for(lambda: plain in consumer.lives(), 30, "the task is seen")
        expect_equal(consumer.messages[-1]["cc"], [], "CC is there without routes, too")


def test_every_exchange_has_messages_of_its_schema():
    with Broker() as broker, Consumer(broker) as consumer, PulseDev(broker) as dev:
        group = dev.make_task(routes=["index.a.b"], tags={"os": "linux"})
        member = dev.make_task(taskGroupId=group)
        cancelled = dev.make_task(taskGroupId=group)
        dev.call("POST", f"/api/queue/v1/task/{cancelled}/priority", {"newPriority": "low"})
        dev.call("POST", f"/api/queue/v1/task-group/{group}/priority", {"newPriority": "high"})
        dev.call("POST", f"/api/queue/v1/task-group/{group}/seal", {})
        dev.call("POST", f"/api/queue/v1/task/{cancelled}/cancel", {})
        run = dev.claim_one()
        dev.call("POST", f"{run}/artifacts/public/here.txt", {
            "storageType": "reference", "url": "http://localhost/", "contentType": "text/plain",
            "expires": stamp(datetime.now(timezone.utc) + timedelta(hours=1))})
        dev.call("POST", f"{run}/completed", {})
        dev.call("POST", dev.claim_one() + "/failed", {})
        with open(documents) as file:
            exchanges = {entry["exchange"] for entry in json.load(file)["exchanges"]["entries"]}
        wait_for(lambda: {message["event"] for message in consumer.messages} == exchanges, 30, f"all of {exchanges}")
        wait_for(lambda: dev.pulse()["lag_seconds"] == 0, 30, "all is sent")
        expect_equal({message["body"]["status"]["taskGroupId"] for message in consumer.messages
                      if "status" in message["body"]}, {group})
        expect_equal(tasks_in(consumer.messages), {group, member, cancelled})


def test_every_event_through_kills_of_the_broker():
    with Broker() as broker, Consumer(broker) as consumer, PulseDev(broker) as dev:
        kills = 0
        begin = time.monotonic()

        def kill_now_and_then(begun):
            """Kills the broker at even distances; a broker that works, so who comes too early waits for that."""
            nonlocal kills
            if kills == options.kills or begun < (kills + 1) * options.tasks / (options.kills + 1):
                return True
            if dev.pulse()["connected"] and dev.pulse()["lag_seconds"] < 1:
                broker.kill()
                broker.start(wait=False)
                kills += 1
            return False

        tasks = run_lives(dev, options.tasks, kill_now_and_then)
        expect_equal(kills, options.kills, "kills of the broker")
        print(f"    {options.tasks} tasks in {time.monotonic() - begin:.1f} s, {kills} kills")
        expect_all_seen(consumer, tasks, 180)
        print(f"    {len(consumer.messages)} messages, all seen after {time.monotonic() - begin:.1f} s")
        expect_equal(dev.pulse()["lost"], 0)


def test_a_broker_that_is_away_slows_nothing_and_a_restart_of_gantry_goes_on():
    with Broker() as broker:
        with Consumer(broker):
            pass  # its queue stays
        with PulseDev(broker) as dev:
            wait_for(lambda: dev.pulse()["connected"], 30, "connected")
            broker.kill()
            begin = time.monotonic()
            tasks = run_lives(dev, 200)
            expect(time.monotonic() - begin < 60, "tasks go on without a broker")
            wait_for(lambda: dev.pulse()["connected"] == 0, 30, "it knows")
            expect(dev.pulse()["lag_seconds"] > 0, "and says how far behind it is")
            dev.kill()
            dev.start()
            tasks += run_lives(dev, 50)
            broker.start()
            with Consumer(broker) as consumer:
                expect_all_seen(consumer, tasks, 90)
            wait_for(lambda: dev.pulse()["lag_seconds"] == 0, 30, "nothing is left")


def test_a_broker_that_hangs_or_blocks_loses_nothing():
    with Broker() as broker, Consumer(broker) as consumer, PulseDev(broker) as dev:
        wait_for(lambda: dev.pulse()["connected"], 30, "connected")
        broker.signal(signal.SIGSTOP)
        try:
            tasks = run_lives(dev, 300)
        finally:
            broker.signal(signal.SIGCONT)
        expect_all_seen(consumer, tasks, 90)
        control(broker, "set_vm_memory_high_watermark", "0.00001")  # the alarm blocks whoever publishes
        tasks = run_lives(dev, 300)
        control(broker, "set_vm_memory_high_watermark", "0.4")
        expect_all_seen(consumer, tasks, 90)


def first_in_log(dev):
    """The first that a reader from the beginning of the log is told."""
    stream = dev.call("GET", "/v1/events?after=0&follow=false").decode()
    return next(json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: "))


def test_a_broker_that_is_away_for_too_long_is_told_what_it_has_lost():
    arguments = ["--event-log", "64k"]
    with Broker() as broker, Consumer(broker) as consumer, PulseDev(broker, arguments=arguments) as dev:
        before = run_lives(dev, 5)
        expect_all_seen(consumer, before, 30)
        wait_for(lambda: dev.pulse()["lag_seconds"] == 0, 30, "all is sent")
        broker.kill()
        run_lives(dev, 200)
        wait_for(lambda: first_in_log(dev)["event"] == "events-lost", 30, "the log is trimmed")
        # What it had read before it was trimmed is in its memory, and not lost; so without that.
        dev.kill()
        dev.start()
        gone = first_in_log(dev)["message"]
        after = run_lives(dev, 5)
        broker.start()
        expect_all_seen(consumer, after, 90)
        (lost,) = [message["body"] for message in consumer.messages if message["event"] == "events-lost"]
        expect_equal(lost["last"], gone["last"])
        expect_equal(lost["count"], lost["last"] - lost["first"] + 1)
        expect(lost["first"] > len(LIFE) * len(before), "what had been sent is not lost")
        expect_equal(dev.pulse()["lost"], lost["count"])
        # It comes where they would have come; what the consumer had not acknowledged may come again.
        place = [message["event"] for message in consumer.messages].index("events-lost")
        expect_equal(tasks_in(consumer.messages[:place]), set(before))
        expect(not tasks_in(consumer.messages[place:]) & set(before), "nothing older comes after it")
        with open(os.path.join(dev.directory, "messages"), errors="replace") as file:
            expect(f"the events {lost['first']} to {lost['last']} were dropped" in file.read(), "the log says so")


def tasks_in(messages):
    return {message["body"]["status"]["taskId"] for message in messages if "status" in message["body"]}


def refusal_logged(dev):
    """What gantry says of a broker that it cannot use."""
    def told():
        with open(os.path.join(dev.directory, "messages"), errors="replace") as file:
            return [line for line in file if "events cannot be sent" in line]
    return wait_for(told, 30, "the refusal is logged")[0]


def test_wrong_credentials_are_told_without_them():
    with Broker() as broker, PulseDev(broker, f"amqp://guest:wrong-secret@127.0.0.1:{broker.port}") as dev:
        said = refusal_logged(dev)
        expect("ACCESS_REFUSED" in said, "with the broker's reason")
        expect("wrong-secret" not in said, "and without the password")


def test_events_go_through_tls():
    with Broker(tls=True) as broker, Consumer(broker) as consumer:
        with PulseDev(broker, authority=broker.authority) as dev:
            tasks = run_lives(dev, 20)
            expect_all_seen(consumer, tasks, 60)
            expect_equal(dev.pulse()["connected"], 1)
            broker.kill()
            broker.start()
            expect_all_seen(consumer, tasks + run_lives(dev, 20), 90)


def test_a_broker_that_is_not_who_it_should_be_gets_nothing():
    with Broker(tls=True) as broker, tempfile.TemporaryDirectory() as elsewhere, Consumer(broker) as consumer:
        with PulseDev(broker, authority=Authority(elsewhere)) as dev:  # trusts another authority
            dev.make_task()
            said = refusal_logged(dev)
            print("    " + said.strip())
            expect("its certificate is not signed by an authority that is trusted here" in said, said)
            expect("SSL_CERT_FILE" in said, "says what to do")
            expect_equal(dev.pulse()["connected"], 0)
        with PulseDev(broker, broker.url.replace("localhost", "127.0.0.1"), authority=broker.authority) as dev:
            dev.make_task()
            said = refusal_logged(dev)
            print("    " + said.strip())
            expect("its certificate is not for 127.0.0.1" in said, said)
        with PulseDev(broker, broker.url.replace("amqps", "amqp"), authority=broker.authority) as dev:  # without TLS
            said = refusal_logged(dev)
            print("    " + said.strip())
        expect_equal(consumer.messages, [])


def control(broker, *words):
    tool = "/usr/lib/rabbitmq/bin/rabbitmqctl"
    tool = tool if os.path.exists(tool) else shutil.which("rabbitmqctl")
    subprocess.run([tool, "-n", broker.environment["RABBITMQ_NODENAME"], *words], env=broker.environment, check=True,
                   capture_output=True, timeout=60)


def install_client():
    if not os.path.isdir(os.path.join(CONFORMANCE, "node_modules/amqplib")):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=CONFORMANCE, check=True,
                       timeout=300)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=options.tasks)
    parser.add_argument("--kills", type=int, default=options.kills)
    parser.add_argument("name", nargs="?", default="")
    parser.parse_args(namespace=options)
    if not os.path.exists(BROKER) or not shutil.which("node"):
        print("there is no RabbitMQ or no Node.js here: scripts/lib/install.sh test")
        sys.exit(77)
    install_client()
    sys.argv[1:] = [options.name] if options.name else []
    try:
        run_tests(globals())
    finally:
        shutil.rmtree(os.path.dirname(documents), ignore_errors=True)


if __name__ == "__main__":
    main()
