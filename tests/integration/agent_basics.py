#!/usr/bin/env python3
"""What one agent does with a task on a real engine: exit codes, limits, artifacts, logs, cancelling."""

import gzip
import os
import re
import signal
import socket
import subprocess
import threading
import time

from agent_world import *

MEGABYTE = 1 << 20


def container_end(task, run=0):
    return run_of(task, run)["exit"]


def test_how_a_container_ends_is_told_apart():
    with Dev(slots=8) as dev:
        exit_seven = dev.shell("exit 7")
        killed = dev.shell("kill -9 $$")
        missing = dev.create("nosuchcommand")
        too_long = dev.shell("trap '' TERM; sleep 30", maxRunTime=1)
        too_big = dev.create("tail", "/dev/zero", resources={"memory": 16 * MEGABYTE})
        no_image = dev.create("true", image="gantry/no-such-image:1")
        good = dev.create("true")

        expect_equal(container_end(dev.wait_resolved(exit_seven))["code"], 7)
        ended = dev.wait_resolved(killed)
        expect_equal((container_end(ended)["signal"], container_end(ended).get("outOfMemory", False)), (9, False))
        expect_equal(container_end(dev.wait_resolved(missing))["code"], 127)
        ended = dev.wait_resolved(too_long)
        expect_equal((run_of(ended, 0)["reason"], container_end(ended)["cause"]), ("failed", "time-limit"))
        expect(b"[taskcluster:error] Task timeout after 1 seconds" in dev.log(too_long), "the log says so")
        ended = dev.wait_resolved(too_big)
        expect_equal(container_end(ended).get("outOfMemory"), True, "out of memory")
        ended = dev.wait_resolved(no_image)
        expect_equal((len(ended["runs"]), run_of(ended, 0)["reason"]), (1, "failed"), "a missing image")
        expect(b'Pulling docker image "gantry/no-such-image:1" has failed' in dev.log(no_image), "the log says so")
        expect_equal(dev.wait_resolved(good)["state"], "completed")
        dev.expect_nothing_left()


def test_limits_and_environment():
    with Dev() as dev:
        task = dev.shell("env; sleep 30", env={"MINE": "1", "TASK_ID": "not this"},
                         resources={"memory": 64 * MEGABYTE, "cpus": 0.5, "pids": 20})
        host = dev.engine.inspect(dev.wait_running(task))["HostConfig"]
        expect_equal((host["Memory"], host["NanoCpus"], host["PidsLimit"]), (64 * MEGABYTE, 500000000, 20))
        wait_for(lambda: b"MINE=1" in dev.log(task), 10, "the output is there")
        output = dev.output(task).decode()
        for line in (f"TASK_ID={task}", "RUN_ID=0", "MINE=1", f"TASKCLUSTER_ROOT_URL=http://127.0.0.1:{dev.port}",
                     "TASKCLUSTER_WORKER_POOL=local/default", "TASKCLUSTER_WORKER_GROUP=local"):
            expect(line in output.splitlines(), f"{line} is in the environment")
        expect("not this" not in output, "TASK_ID cannot be overridden")
        dev.cancel(task)
        dev.expect_nothing_left()


def test_artifacts():
    with Dev() as dev:
        later = stamp(datetime.now(timezone.utc) + timedelta(minutes=30))
        task = dev.shell("mkdir -p /out/deep; echo one > /out/one.txt; echo two > /out/deep/two.json; echo 3 > /three",
                         artifacts={"public/three": {"type": "file", "path": "/three", "expires": later},
                                    "public/out": {"type": "directory", "path": "/out"}})
        expect_equal(dev.wait_resolved(task)["state"], "completed")
        made = dev.artifacts(task)
        expect({"public/three", "public/out/one.txt", "public/out/deep/two.json"} <= set(made), f"{list(made)}")
        expect_equal(made["public/out/deep/two.json"]["contentType"], "application/json")
        expect_equal(dev.artifact(task, "public/out/deep/two.json").read(), b"two\n")

        bad = dev.shell("mkdir /dir; echo here > /here", artifacts={
            "public/missing": {"type": "file", "path": "/nowhere"},
            "public/wrong": {"type": "file", "path": "/dir"},
            "public/here": {"type": "file", "path": "/here"},
        })
        ended = dev.wait_resolved(bad)
        expect_equal((ended["state"], container_end(ended)["code"]), ("failed", 0))
        made = dev.artifacts(bad)
        expect_equal(made["public/missing"]["storageType"], "error")
        expect_equal(made["public/wrong"]["storageType"], "error")
        expect_equal(dev.artifact(bad, "public/missing").status, 424, "an error artifact")
        expect_equal(dev.artifact(bad, "public/here").read(), b"here\n")

        good = dev.create("true", artifacts={"public/perhaps": {"type": "file", "path": "/nowhere", "optional": True}})
        expect_equal(dev.wait_resolved(good)["state"], "completed", "without an optional artifact")
        expect_equal(dev.artifacts(good)["public/perhaps"]["storageType"], "error", "which is told apart from none")
        expect(b'"public/perhaps" not found at "/nowhere" (it is optional)' in dev.log(good), "the log says so")
        dev.expect_nothing_left()


def test_an_exit_code_may_mean_try_again():
    with Dev() as dev:
        again = dev.shell("exit 3", onExitStatus={"retry": [3]})
        not_again = dev.shell("exit 4", onExitStatus={"retry": [3]})
        ended = dev.wait_resolved(again)
        expect_equal((ended["state"], len(ended["runs"])), ("exception", 6), "five retries")
        expect_equal({run_of(ended, i)["reason"] for i in range(6)}, {"intermittent-task"})
        expect_equal(container_end(ended, 5)["code"], 3)
        expect_equal(dev.wait_resolved(not_again)["state"], "failed")
        dev.expect_nothing_left()


def failed_before_start(dev, task, line, reason="failed"):
    """The task ended without a container, and its log has the line."""
    ended = dev.wait_resolved(task)
    expect_equal((run_of(ended, 0)["reason"], container_end(ended)["cause"]), (reason, "not-started"))
    log = dev.log(task).decode()
    expect(f"[taskcluster:error] {line}" in log, f"the log says {line!r}: {log}")


def test_whatever_keeps_a_task_from_starting_is_in_its_log():
    ptrace = "docker-worker:feature:allowPtrace"
    with Dev() as dev:
        no_image = "A feature of the task could not be set up: this worker has no image for features.dind"
        failed_before_start(dev, dev.create("true", features={"dind": True}), no_image)
        # Without the live log, too.
        failed_before_start(dev, dev.create("true", features={"dind": True, "localLiveLog": False}), no_image)
        failed_before_start(dev, dev.create("true", features={"allowPtrace": True}),
                            "A feature of the task could not be set up: Insufficient scopes to use the allowPtrace "
                            f"feature; the task needs the scope {ptrace}")
        failed_before_start(dev, dev.create("true", capabilities={"privileged": True}),
                            "A feature of the task could not be set up: Cannot run task using docker privileged mode")
        failed_before_start(dev, dev.create("true", image="gantry/no-such-image:1"),
                            'Pulling docker image "gantry/no-such-image:1" has failed')
        dev.expect_nothing_left()
    # Payloads are not looked at before an agent has come for the queue.
    with Dev(arguments=["--task-queue", "late/agent"]) as dev:
        malformed = dev.create("true", queue="later/agent", comand=["true"])
        dev.kill()
        dev.arguments = ["--task-queue", "later/agent"]
        dev.start()
        failed_before_start(dev, malformed, 'payload.comand: unknown key; did you mean "command"?', "malformed-payload")
        try:
            dev.create("true", queue="later/agent", comand=["true"])
            expect(False, "the server takes what its agent could not run")
        except Answer as refused:
            expect_equal(refused.status, 400)


def test_scopes_give_rights():
    ptrace, privileged = "docker-worker:feature:allowPtrace", "docker-worker:capability:privileged"
    with Dev(arguments=["--allow-privileged"]) as dev:
        poor = dev.create("true", scopes=[ptrace], capabilities={"privileged": True})
        failed_before_start(dev, poor, "A feature of the task could not be set up: Insufficient scopes to run task in "
                                       f"privileged mode; the task needs the scope {privileged}")
        traced = dev.create("sleep", "60", scopes=[ptrace], features={"allowPtrace": True}, resources={"shm": "32m"})
        host = dev.engine.inspect(dev.wait_running(traced))["HostConfig"]
        expect_equal((host["Privileged"], host["CapAdd"], host["ShmSize"]), (False, ["SYS_PTRACE"], 32 * MEGABYTE))
        dev.cancel(traced)
        rich = dev.shell("grep CapEff /proc/self/status", scopes=[privileged], capabilities={"privileged": True})
        if dev.wait_resolved(rich)["state"] == "completed":
            capabilities = int(dev.output(rich).split()[1], 16)
            expect(capabilities >> 21 & 1, f"it is an administrator of the machine: {capabilities:x}")
        else:  # inside another container an engine may have no such rights to give
            print("       this engine cannot give privileges")
            expect(b"Failure to properly start execution environment" in dev.log(rich), dev.log(rich))
        # A role may give them, for this pool.
        dev.call("PUT", "/api/auth/v1/roles/test%3Atracer",
                 {"description": "", "scopes": ["docker-worker:feature:allowPtrace:local/default"]})
        tracer = dev.create("true", scopes=["assume:test:tracer"], features={"allowPtrace": True})
        expect_equal(dev.wait_resolved(tracer)["state"], "completed", dev.log(tracer))
        dev.expect_nothing_left()


def test_the_whole_log_is_kept_as_one_file():
    with Dev() as dev:
        task = dev.shell("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo out $i; done",
                         features={"bulkLog": True, "localLiveLog": False})
        expect_equal(dev.wait_resolved(task)["state"], "completed")
        answer = dev.artifact(task, "public/logs/terminal_bulk.log.gz")
        packed = answer.read()
        log = gzip.decompress(packed)
        expect_equal(log, dev.log(task), "the same log")
        expect_contiguous(log, b"out", 2000)
        expect(log.endswith(b"seconds\n"), f"with its last line: {log[-80:]!r}")
        expect_equal(answer.headers["Content-Type"], "application/gzip")
        expect_equal(os.listdir(os.path.join(dev.directory, "agent", "spool")), [], "nothing is left on the disk")
        dev.expect_nothing_left()


def test_the_log_begins_with_who_runs_it():
    with Dev() as dev:
        task = dev.create("true")
        dev.wait_resolved(task)
        log = dev.log(task).decode()
        for line in (f"Task ID: {task}", "Worker Group: local", "Worker Type: default", "Worker Pool: local/default",
                     f"Hostname: {socket.gethostname()}"):
            expect(f"] {line}\n" in log, f"{line} is in {log}")
        expect(re.search(r"\] Worker ID: node-\S+\n", log) and re.search(r"\] Worker Version: \d", log), log)


def test_a_big_artifact_takes_no_memory():
    size = 200 * MEGABYTE
    with Dev() as dev:
        dev.wait_resolved(dev.create("true"))
        before = dev.rss_kb()
        task = dev.shell(f"dd if=/dev/zero of=/big bs=1048576 count={size // MEGABYTE}",
                         artifacts={"public/big": {"type": "file", "path": "/big"}})
        peak = before
        while dev.state(task) in ("pending", "running"):
            peak = max(peak, dev.rss_kb())
            time.sleep(0.05)
        expect_equal(dev.state(task), "completed")
        answer = dev.artifact(task, "public/big")
        got = 0
        while piece := answer.read(MEGABYTE):
            got += len(piece)
            peak = max(peak, dev.rss_kb())
        expect_equal(got, size)
        print(f"       200 MB artifact: {before} kB of memory before, {peak} kB at most")
        expect(peak - before < 64 * 1024, f"memory grew from {before} to {peak} kB")


def test_a_log_is_followed_while_it_grows():
    with Dev() as dev:
        script = ("printf 'no newline yet'; sleep 1; echo; i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo \"out $i\"; "
                  "echo \"err $i\" >&2; done; printf '\\377\\376\\000binary\\n'; sleep 1; printf 'the end, open'")
        task = dev.shell(script)
        dev.wait_running(task)
        read = {}

        def follow(reader):
            read[reader] = dev.call("GET", f"/v1/tasks/{task}/runs/0/log")

        followers = [threading.Thread(target=follow, args=(n,)) for n in range(4)]
        for follower in followers:
            follower.start()
        wait_for(lambda: b"no newline yet" in dev.log(task), 5, "a partial line is seen at once")
        dev.wait_resolved(task)
        for follower in followers:
            follower.join(20)
        whole = dev.log(task)
        for reader in range(4):
            expect_equal(read.get(reader), whole, f"what reader {reader} saw")
        # The engine copies the two streams independently: the first line of stderr may overtake the newline of stdout.
        output = dev.output(task).replace(b"no newline yet", b"no newline yet\n", 1)
        expect_contiguous(output, b"out", 200)
        expect_contiguous(output, b"err", 200)
        expect(b"\xff\xfe\x00binary\n" in output, "bytes that are not UTF-8 are kept")
        expect(output.endswith(b"the end, open"), f"the last line is kept: {output[-80:]!r}")
        expect_equal(dev.artifact(task, "public/logs/live.log").read(), whole, "the artifact")


def test_a_flood_is_stopped():
    limit = 2 * MEGABYTE
    with Dev(arguments=["--log-limit", "2m"]) as dev:
        task = dev.create("yes")
        ended = dev.wait_resolved(task)
        expect_equal((run_of(ended, 0)["reason"], container_end(ended)["cause"]), ("failed", "log-limit"))
        log = dev.log(task)
        expect(limit - MEGABYTE < len(log) < limit + 4096, f"the log has {len(log)} bytes")
        expect(b"[taskcluster:error] wrote more than" in log, "the log says so")
        dev.expect_nothing_left()
        expect_equal(dev.wait_resolved(dev.create("true"))["state"], "completed", "the next task")


def test_twenty_tasks_on_eight_slots():
    with Dev(slots=8) as dev:
        tasks = [dev.shell(f"sleep 0.5; echo out {n}; exit {n % 2}") for n in range(20)]
        most = 0
        while any(dev.state(task) in ("pending", "running") for task in tasks):
            most = max(most, len(dev.containers()))
            expect(most <= 8, f"{most} containers at once")
        for n, task in enumerate(tasks):
            expect_equal(dev.state(task), "failed" if n % 2 else "completed")
            expect_equal(dev.output(task), f"out {n}\n".encode())
        dev.expect_nothing_left()


def test_cancelling():
    with Dev() as dev:
        stubborn = dev.shell("trap '' TERM INT; echo ready; while :; do sleep 1; done")
        dev.wait_running(stubborn)
        wait_for(lambda: b"ready" in dev.log(stubborn), 10, "it is ready")
        dev.cancel(stubborn)
        began = time.monotonic()
        wait_for(lambda: not dev.engine.of_task(stubborn), 10, "the container is gone")
        took = time.monotonic() - began
        print(f"       a container was gone {took * 1000:.0f} ms after the cancel was answered")
        wait_for(lambda: b"Task was canceled" in dev.log(stubborn), 5, "the log says so")

        # At any moment between the claim and the start.
        for attempt in range(12 if HEAVY else 6):
            task = dev.create("sleep", "60")
            wait_for(lambda: dev.state(task) == "running", 10, "it is claimed")
            time.sleep(0.04 * attempt)
            dev.cancel(task)
            wait_for(lambda: not dev.engine.of_task(task), 10, "the container is gone")
        # While the image is looked for in a registry that does not answer.
        pulling = dev.create("true", image="10.255.255.1:5000/nothing:1")
        wait_for(lambda: dev.state(pulling) == "running", 10, "it is claimed")
        dev.cancel(pulling)
        dev.expect_nothing_left()
        tasks = [dev.create("true") for _ in range(4)]
        for task in tasks:
            expect_equal(dev.wait_resolved(task, 20)["state"], "completed", "every slot is free again")


def test_control_c_cancels_the_task():
    with Dev() as dev:
        client = subprocess.Popen([GANTRY, "run", "--data-dir", dev.directory, IMAGE, "sh", "-c",
                                   "trap '' INT TERM; echo ready; sleep 60"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        expect_equal(client.stdout.readline(), b"ready\n")
        client.send_signal(signal.SIGINT)
        messages = client.communicate(timeout=30)[1]
        expect_equal(client.returncode, 130, messages.decode())
        dev.expect_nothing_left()


run_tests(globals())
