"""Tasks as people change them from the command line: create, explain, schedule, rerun, priority; groups; events."""

import json

from world import IMAGE, expect, expect_in, wait_for

IDLE = "e2e/idle"  # nobody works on it
WORKED = "local/default"
UNKNOWN = "fN1SbArXTPSVFNUvaOlinQ"


def create(world, queue=IDLE, script="true", **changes):
    definition = {
        "taskQueueId": queue,
        "payload": {"image": IMAGE, "command": ["sh", "-c", script], "maxRunTime": 60},
        "metadata": {"name": "made by e2e", "description": "", "owner": "e2e@example.com", "source": "https://example.com"},
        **changes,
    }
    return said(world, "task", "create", "-", stdin=json.dumps(definition).encode()).text.strip()


def said(world, *words, **more):
    """What a command prints that must succeed."""
    done = world.call(*words, **more)
    expect(done.code, 0, f"{words}: {done.err}")
    return done


def refused(world, code, *words):
    """What a command says on stderr that must fail, and print nothing."""
    done = world.call(*words)
    expect((done.code, done.text), (code, ""), f"{words}: {done.err}")
    return done.err


def as_json(world, *words):
    return said(world, *words, "--output", "json").json()


def wait_for_end(world, task):
    return said(world, "logs", "--follow", task).text


def test_task_create_from_a_file(world):
    path = world.directory("definition") / "task.json"
    definition = {
        "taskQueueId": IDLE, "payload": {"image": IMAGE, "command": ["true"], "maxRunTime": 60}, "priority": "medium",
        "metadata": {"name": "from a file", "description": "", "owner": "e2e@example.com", "source": "https://example.com"}}
    path.write_text(json.dumps(definition))
    made = said(world, "task", "create", path)
    task = made.text.strip()
    expect((len(task), made.err), (22, ""))
    shown = world.task(task)
    expect((shown["state"], shown["status"]["priority"], shown["task"]["metadata"]["name"]),
           ("pending", "medium", "from a file"))
    path.write_text(json.dumps({**definition, "prioriti": "low"}))
    expect_in("prioriti", refused(world, 1, "task", "create", path))
    expect_in("FILE", refused(world, 2, "task", "create"))


def test_task_explain_says_why(world):
    first = create(world)
    text = said(world, "task", "explain", first).text
    for part in ("pending: ", f"in {IDLE}", "nobody claims from this queue", "priority lowest, 5 retries left"):
        expect_in(part, text)
    waiting = create(world, WORKED, dependencies=[first])
    text = said(world, "task", "explain", waiting).text
    expect_in("unscheduled: it waits for 1 task to complete\n", text)
    expect_in(f"It waits for:\n  {first}: pending\n", text)
    explanation = as_json(world, "task", "explain", waiting)
    expect((explanation["state"], explanation["waitsFor"]["unmet"]), ("unscheduled", 1))
    running = create(world, WORKED, "sleep 60")
    wait_for("the task runs", lambda: world.task(running)["state"] == "running")
    text = said(world, "task", "explain", running).text
    expect_in("running: on local/", text)
    expect_in("; the claim holds until ", text)
    expect_in(f"task {running}: cancelled\n", said(world, "task", "cancel", running).err)
    expect_in("canceled", said(world, "task", "explain", running).text)
    expect_in(UNKNOWN, refused(world, 1, "task", "explain", UNKNOWN))


def test_task_explain_names_who_could_take_it(world):
    huge = create(world, WORKED, payload={"image": IMAGE, "command": ["true"], "maxRunTime": 60,
                                          "resources": {"memory": "4000g"}})
    text = said(world, "task", "explain", huge).text
    expect_in("Who claims from its queue:\n  local/", text)
    expect_in(": too small for this task, last heard of ", text)
    expect_in(" ago", text)
    said(world, "task", "cancel", huge)


def test_task_schedule_lets_a_task_run_before_what_it_waits_for(world):
    never = create(world)
    task = create(world, WORKED, "echo ran anyway", dependencies=[never])
    expect(world.task(task)["state"], "unscheduled")
    done = said(world, "task", "schedule", task)
    expect((done.text, done.err), ("", f"task {task}: pending, priority lowest\n"))
    expect_in("\nran anyway\n", wait_for_end(world, task))
    status = as_json(world, "task", "schedule", task)  # of one that has ended: nothing happens
    expect((status["taskId"], status["state"]), (task, "completed"))


def test_task_rerun(world):
    task = create(world, WORKED, "echo run $RUN_ID; test $RUN_ID = 1")
    wait_for_end(world, task)
    expect(world.task(task)["state"], "failed")
    done = said(world, "task", "rerun", task)
    expect((done.text, done.err), ("", f"task {task}: pending, priority lowest\n"))
    expect_in("\nrun 1\n", wait_for_end(world, task))
    shown = world.task(task)
    expect([run["state"] for run in shown["runs"]], ["failed", "completed"])
    expect_in("\nrun 0\n", said(world, "logs", task, "--run", "0").text)
    expect_in("has no run 2", refused(world, 1, "logs", task, "--run", "2"))
    status = as_json(world, "task", "rerun", task)
    expect((status["state"], len(status["runs"])), ("pending", 3))
    expect_in(UNKNOWN, refused(world, 1, "task", "rerun", UNKNOWN))


def test_task_priority(world):
    task = create(world)
    done = said(world, "task", "priority", task, "high")
    expect((done.text, done.err), ("", f"task {task}: pending, priority high\n"))
    expect(as_json(world, "task", "priority", task, "very-low")["priority"], "very-low")
    expect_in("did you mean high?", refused(world, 2, "task", "priority", task, "hgih"))
    expect_in("PRIORITY", refused(world, 2, "task", "priority", task))
    said(world, "task", "cancel", task)
    expect_in("exception", refused(world, 1, "task", "priority", task, "high"))


def make_group(world):
    """Two tasks, of which the second waits for the first."""
    first = create(world)
    second = create(world, taskGroupId=first, dependencies=[first], priority="low")
    return first, second


def test_group_show_and_list_tasks(world):
    group, second = make_group(world)
    lines = dict(line.split(None, 1) for line in said(world, "group", "show", group).text.splitlines())
    expect({key: lines[key] for key in ("group", "scheduler", "tasks", "sealed", "pulls")},
           {"group": group, "scheduler": "-", "tasks": "2 (1 pending, 1 unscheduled)", "sealed": "no", "pulls": "no"})
    shown = as_json(world, "group", "show", group)
    expect((shown["taskGroupId"], shown["tasks"], shown["unresolved"]), (group, 2, 2))
    rows = [line.split(None, 5) for line in said(world, "group", "list-tasks", group).text.splitlines()]
    expect(rows[0], ["TASK", "STATE", "RUNS", "QUEUE", "PRIORITY", "NAME"])
    expect(rows[1:], [[group, "pending", "1", IDLE, "lowest", "made by e2e"],
                      [second, "unscheduled", "0", IDLE, "low", "made by e2e"]])
    expect([one["status"]["taskId"] for one in as_json(world, "group", "list-tasks", group)], [group, second])
    expect_in("does not exist", refused(world, 1, "group", "show", UNKNOWN))
    expect_in("22 characters", refused(world, 2, "group", "show", "nonsense"))


def test_group_priority_pulls_seal_and_cancel(world):
    group, second = make_group(world)
    expect_in("priority medium for 2 tasks", said(world, "group", "priority", group, "medium").err)
    expect([world.task(task)["status"]["priority"] for task in (group, second)], ["medium", "medium"])
    expect_in("tasks pull what they wait for", said(world, "group", "pulls", group, "on").err)
    said(world, "task", "priority", second, "highest")
    wait_for("it is pulled", lambda: "pulled to highest" in said(world, "task", "explain", group).text)
    expect(as_json(world, "group", "pulls", group, "off")["pulls"], False)
    expect_in("on, off", refused(world, 2, "group", "pulls", group, "maybe"))
    expect_in("seal it first", refused(world, 1, "group", "cancel", group))
    expect_in(f"group {group} is sealed since 20", said(world, "group", "seal", group).err)
    late = world.call("task", "create", "-", stdin=json.dumps({
        "taskQueueId": IDLE, "taskGroupId": group, "payload": {},
        "metadata": {"name": "late", "description": "", "owner": "a@b.c", "source": "https://example.com"}}).encode())
    expect(late.code, 1)
    expect_in("sealed", late.err)
    expect_in("cancelled 2 of its 2 tasks", said(world, "group", "cancel", group).err)
    wait_for("all of it has ended", lambda: as_json(world, "group", "show", group)["unresolved"] == 0)
    other, _ = make_group(world)
    answer = as_json(world, "group", "cancel", other, "--seal")
    expect((answer["taskGroupSize"], answer["cancelledCount"]), (2, 2))


def kinds(text):
    return [line.split()[1] for line in text.splitlines()]


def test_events_of_a_task(world):
    task = create(world, WORKED, "exit 3")
    wait_for_end(world, task)
    text = said(world, "events", "--task", task).text
    expect([kind for kind in kinds(text) if kind != "artifact-created"],
           ["task-defined", "task-pending", "task-running", "task-failed"])
    for line in text.splitlines():
        expect_in(task, line)
    expect_in("  run 0  on local/", text)
    documents = [json.loads(line) for line in said(world, "events", "--task", task, "--json").text.splitlines()]
    expect([document["event"] for document in documents], kinds(text))
    expect({document["message"]["status"]["taskId"] for document in documents}, {task})
    for document in documents:
        expect(sorted(document), ["event", "message", "routingKey", "time"])
    only = said(world, "events", "--task", task, "--kind", "task-failed", "--kind", "task-exception")
    expect(kinds(only.text), ["task-failed"])
    of_group = kinds(said(world, "events", "--group", task).text)  # a task without a group is a group by itself
    expect(of_group, kinds(text) + ["task-group-resolved"])


def test_events_are_followed_through_a_restart(world):
    dev = world.other_dev()
    dev.start()
    queue = "e2e/followed"
    follower = world.begin("events", "--follow", "--queue", queue, "--after", "0", data=dev.data)

    def make():
        done = world.call("task", "create", "-", data=dev.data, stdin=json.dumps({
            "taskQueueId": queue, "payload": {"image": IMAGE, "command": ["true"], "maxRunTime": 60},
            "metadata": {"name": "n", "description": "", "owner": "a@b.c", "source": "https://example.com"}}).encode())
        expect(done.code, 0, done.err)
        return done.text.strip()

    try:
        tasks = [make()]
        wait_for("the first is seen", lambda: tasks[0] in follower.out().decode())
        dev.kill()
        dev.start()
        tasks.append(make())
        wait_for("the second is seen", lambda: follower.out().decode().count(tasks[1]) == 2)
        expect(kinds(follower.out().decode()), ["task-defined", "task-pending"] * 2)
    finally:
        follower.process.kill()
        follower.process.wait()
        dev.stop()


def test_events_mistakes(world):
    expect_in("did you mean task-completed?", refused(world, 2, "events", "--kind", "task-complted"))
    expect_in("is not an id", refused(world, 2, "events", "--task", "nope"))
    expect_in("--queue", refused(world, 2, "events", "--queue", "nope"))
    expect_in("did you mean --output json?", refused(world, 2, "task", "list", "--json"))
