#!/usr/bin/env python3
"""Caches on a real engine: warm for the next task, never shared by two at once, purged when asked for, kept apart from
other agents', and known again after a kill."""

import subprocess
import threading

from agent_world import *

SCOPES = ["docker-worker:cache:*"]
PURGE = "/api/purge-cache/v1/purge-cache/local%2Fdefault"


def start(dev, script, cache="build", **payload):
    """A task of `script` with a cache at /cache."""
    return dev.create("sh", "-c", script, scopes=SCOPES, cache={cache: "/cache"}, **payload)


def run(dev, script, **payload):
    """Its output once it has ended well."""
    task = start(dev, script, **payload)
    ended = dev.wait_resolved(task)
    expect_equal(ended["state"], "completed", dev.log(task))
    return dev.output(task).decode().replace("\r", "")


def names(dev):
    return sorted(volume["Name"] for volume in dev.volumes())


def gantry(dev, *arguments):
    done = subprocess.run([GANTRY, *arguments, "--data-dir", dev.directory], capture_output=True, text=True, timeout=60)
    expect_equal(done.returncode, 0, done.stderr)
    return done


def purge(dev, cache="build"):
    dev.call("POST", PURGE, {"cacheName": cache})


def messages(dev):
    with open(os.path.join(dev.directory, "messages"), errors="replace") as file:
        return file.read()


def test_what_one_task_leaves_the_next_one_finds():
    with Dev() as dev:
        expect_equal(run(dev, "ls /cache; echo made by one > /cache/file"), "")
        # At once after the other: its container is only just being removed.
        for n in range(5):
            expect_equal(run(dev, f"cat /cache/file; echo and {n} >> /cache/file").splitlines()[-1],
                         f"and {n - 1}" if n else "made by one")
        expect_equal(len(names(dev)), 1, "one instance served them all")
        expect_equal(run(dev, "ls /cache", cache="other"), "")
        task = start(dev, "true")
        dev.wait_resolved(task)
        expect(re.search(rb'\] Hostname: .*\n\[taskcluster [^\]]*\] using cache "build" -> /cache\n', dev.log(task)),
               dev.log(task))
        for event in ("miss", "created", "release", "hit"):
            expect(f'cache volume {event}: "build"' in messages(dev), f"{event} is in the agent's log")
        dev.expect_nothing_left()


def test_two_at_once_have_one_each():
    with Dev() as dev:
        script = "mkdir /cache/busy || exit 9; echo $RUN_ID >> /cache/runs; sleep 1; rmdir /cache/busy"
        tasks = [start(dev, script) for _ in range(3)]
        for task in tasks:
            expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task))
        expect_equal(len(names(dev)), 3)
        run(dev, "cat /cache/runs")
        expect_equal(len(names(dev)), 3, "no new one is needed")


def test_a_purge_by_request():
    with Dev() as dev:
        run(dev, "echo old > /cache/file")
        busy = start(dev, "echo old > /cache/busy; sleep 4")
        dev.wait_running(busy)
        wait_for(lambda: len(names(dev)) == 1, 5, "it took the one there is")
        run(dev, "echo old > /cache/file")
        old = names(dev)
        expect_equal(len(old), 2)
        time.sleep(0.01)
        said = gantry(dev, "cache", "purge", "local/default", "build").stderr
        expect('cache "build"' in said, said)
        expect_equal(run(dev, "ls /cache; echo new > /cache/file"), "", "an empty one")
        still_there = set(old) & set(names(dev))
        expect_equal(len(still_there), 1, "the busy one is left alone")
        expect_equal(dev.wait_resolved(busy)["state"], "completed")
        wait_for(lambda: not set(old) & set(names(dev)), 10, "the busy one goes with its task")
        expect_equal(run(dev, "cat /cache/file"), "new\n", "what was made later stays")
        expect_equal(run(dev, "ls /cache", cache="other"), "")
        purge(dev, "other")
        expect_equal(run(dev, "cat /cache/file"), "new\n", "a purge of another cache")
        expect('cache volume purge: "build"' in messages(dev), "the agent's log says so")
        expect('cache volume removed: "build"' in messages(dev), "the agent's log says so")


def test_a_purge_by_exit_code():
    with Dev() as dev:
        run(dev, "echo old > /cache/file")
        purge_codes = {"purgeCaches": [7], "retry": [7]}
        kept = start(dev, "exit 8", onExitStatus=purge_codes)
        expect_equal(dev.wait_resolved(kept)["state"], "failed")
        expect_equal(run(dev, "cat /cache/file"), "old\n")
        bad = start(dev, "ls /cache; exit 7", onExitStatus=purge_codes)
        ended = dev.wait_resolved(bad)
        expect_equal(run_of(ended, 0)["reason"], "intermittent-task")
        expect(b"Purging the task's caches" in dev.log(bad), dev.log(bad))
        expect_equal(run(dev, "ls /cache"), "")
        expect_equal(len(names(dev)), 1)


def test_without_the_scope_there_is_no_cache():
    with Dev() as dev:
        task = dev.create("true", cache={"build": "/cache"}, scopes=["docker-worker:cache:another"])
        ended = dev.wait_resolved(task)
        expect_equal((run_of(ended, 0)["reason"], run_of(ended, 0)["exit"]["cause"]), ("failed", "not-started"))
        expect(b'Insufficient scopes to attach cache "build"' in dev.log(task), dev.log(task))
        of_pool = dev.create("true", cache={"build": "/cache"}, scopes=["docker-worker:cache:build:local/default"])
        expect_equal(dev.wait_resolved(of_pool)["state"], "completed", dev.log(of_pool))
        for wrong in ({"a": "/x", "b": "/x/"}, {"a": "/"}):
            try:
                dev.create("true", cache=wrong, scopes=SCOPES)
                expect(False, f"{wrong} is taken")
            except Answer as refused:
                expect_equal(refused.status, 400)
        dev.expect_nothing_left()


def test_a_cache_can_be_an_artifact():
    with Dev() as dev:
        task = start(dev, "mkdir -p /cache/sub; echo one > /cache/a; echo two > /cache/sub/b",
                     artifacts={"public/cache": {"type": "volume", "path": "/cache"}})
        expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task))
        expect_equal(dev.artifact(task, "public/cache/a").read(), b"one\n")
        expect_equal(dev.artifact(task, "public/cache/sub/b").read(), b"two\n")


def test_a_kill_loses_no_cache_and_shares_none():
    with Dev() as dev:
        run(dev, "echo warm > /cache/file")
        holder = start(dev, "mkdir /cache/busy || exit 9; sleep 6; rmdir /cache/busy; echo held >> /cache/file")
        dev.wait_running(holder)
        held = names(dev)
        dev.kill()
        dev.start()
        expect_equal(run(dev, "ls /cache"), "", "another task gets another one")
        expect(dev.engine.of_task(holder), "while the first one still runs")
        ended = dev.wait_resolved(holder)
        expect_equal((len(ended["runs"]), ended["state"]), (1, "completed"), dev.log(holder))
        wait_for(lambda: not dev.containers(), 10, "its container is gone")
        expect_equal(run(dev, "cat /cache/file"), "warm\nheld\n", "it is free again, and was used last")
        expect_equal(set(held) <= set(names(dev)), True)
        dev.kill()
        dev.start()
        expect_equal(run(dev, "cat /cache/file"), "warm\nheld\n", "idle ones are known again, too")
        dev.expect_nothing_left()


def test_kills_at_any_moment():
    with Dev(slots=4) as dev:
        script = "mkdir /cache/busy || exit 9; usleep 300000; echo x >> /cache/uses; rmdir /cache/busy"
        rounds = 12 if HEAVY else 4
        tasks = []
        for n in range(rounds):
            tasks += [start(dev, script) for _ in range(6)]
            time.sleep(0.15 + 0.23 * (n % 5))
            dev.kill()
            dev.start()
        for task in tasks:
            # A kill between a claim and its container costs a retry; a cache that is shared would cost the task.
            *lost, last = dev.wait_resolved(task)["runs"]
            expect_equal(last["state"], "completed", dev.get(f"/v1/tasks/{task}"))
            expect_equal([run["reasonResolved"] for run in lost], ["claim-expired"] * len(lost))
        dev.expect_nothing_left()
        expect(1 <= len(names(dev)) <= 6, f"{len(names(dev))} instances for 4 slots")
        print(f"       {len(tasks)} tasks, {rounds} kills: {len(names(dev))} instances, none ever shared")


def test_nothing_is_left_when_all_is_purged_and_other_agents_keep_theirs():
    with Dev() as dev, Dev() as other:
        run(other, "echo theirs > /cache/file")
        theirs = names(other)
        for cache in ("one", "two"):
            run(dev, "true", cache=cache)
        expect_equal(len(names(dev)), 2)
        time.sleep(0.01)
        purge(dev, "one")
        purge(dev, "two")
        last = start(dev, "true", cache="two", onExitStatus={"purgeCaches": [3]})
        dev.wait_resolved(last)
        wait_for(lambda: len(names(dev)) == 1, 10, "only the new one is left")
        dev.wait_resolved(start(dev, "exit 3", cache="two", onExitStatus={"purgeCaches": [3]}))
        wait_for(lambda: not names(dev), 10, "no volume is left")
        dev.expect_nothing_left()
        expect_equal(names(other), theirs)
        expect_equal(run(other, "cat /cache/file"), "theirs\n")


def test_the_command_line_lists_them():
    with Dev() as dev:
        expect("no node has a cache" in gantry(dev, "cache", "list").stderr, "there is none yet")
        busy = start(dev, "sleep 30")
        dev.wait_running(busy)
        run(dev, "true")

        def listed():
            caches = json.loads(gantry(dev, "cache", "list", "--output", "json").stdout)
            return caches[0] if caches and caches[0]["instances"] == 2 else None

        cache = wait_for(listed, 30, "the agent's next poll")
        expect_equal((cache["name"], cache["taskQueueId"], cache["inUse"]), ("build", "local/default", 1))
        table = gantry(dev, "cache", "list").stdout
        expect(re.search(r"^build +local/default +\S+ +2 +1 +.* ago$", table, re.M), table)
        dev.cancel(busy)
        dev.expect_nothing_left()


def test_the_example():
    with Dev() as dev:
        environment = dict(os.environ, PATH=os.path.dirname(os.path.abspath(GANTRY)) + ":" + os.environ["PATH"],
                           GANTRY_DATA_DIR=dev.directory)
        done = subprocess.run([os.path.join(ROOT, "examples/cache/run.sh")], env=environment, capture_output=True,
                              text=True, timeout=120)
        expect_equal(done.returncode, 0, done.stderr)
        expect_equal(re.findall(r"built .*", done.stdout),
                     [f"built 40 objects, {n} of them from the cache" for n in (0, 40)])
        dev.expect_nothing_left()


run_tests(globals())
