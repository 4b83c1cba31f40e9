"""The command line as such: help, mistakes, completion, output formats, and finding the server."""

import json
import os
import subprocess
import tempfile

from world import IMAGE, expect, expect_in


def expect_usage_error(world, words, *parts):
    ended = world.call(*words)
    expect(ended.code, 2, words)
    expect(ended.out, b"", words)
    expect_in("gantry: ", ended.err, words)
    for part in parts:
        expect_in(part, ended.err, words)


def test_help_has_every_command(world):
    overview = world.call("--help")
    expect(overview.code, 0)
    for command in ("dev", "run", "ps", "logs", "task create", "task cancel", "nodes", "env", "completion"):
        expect_in(f"\n  {command} ", overview.text)
    for words in (["run", "--help"], ["task", "--help"], ["task", "list", "-h"], ["help", "task", "list"]):
        ended = world.call(*words)
        expect(ended.code, 0, words)
        expect_in("Usage: gantry", ended.text, words)
    expect_in("Examples:", world.call("task", "download", "--help").text)
    expect(world.call().code, 2)


def test_mistakes_get_a_suggestion(world):
    expect_usage_error(world, ["rnu"], "did you mean gantry run?")
    expect_usage_error(world, ["task", "lits"], "did you mean gantry task list?")
    expect_usage_error(world, ["task"], "needs a command")
    expect_usage_error(world, ["run", "--memroy", "5", IMAGE], "did you mean --memory?")
    expect_usage_error(world, ["run", "--priority", "hihg", IMAGE], "did you mean high?")
    expect_usage_error(world, ["ps", "--output", "jsno"], "did you mean json?")
    expect_usage_error(world, ["--url", "x"], "options follow the command")
    expect_usage_error(world, ["nodes", "extra"], "takes no argument")
    expect_usage_error(world, ["completion", "basch"], "did you mean bash?")


def test_wrong_values_of_run(world):
    expect_usage_error(world, ["run"], "needs IMAGE", "for example: gantry run")
    expect_usage_error(world, ["run", "--memory", "lots", IMAGE], '--memory "lots"', "256m")
    expect_usage_error(world, ["run", "--memory", "1m", IMAGE], "at least 6m")
    expect_usage_error(world, ["run", "--memory"], "--memory needs a value")
    expect_usage_error(world, ["run", "--env", "NOVALUE", IMAGE], '--env "NOVALUE"', "NAME=VALUE")
    expect_usage_error(world, ["run", "--cpus", "0", IMAGE], "--cpus")
    expect_usage_error(world, ["run", "--timeout", "soon", IMAGE], "--timeout")
    expect_usage_error(world, ["run", "--artifact", "x=relative", IMAGE], "absolute path")
    expect_usage_error(world, ["run", "--queue", "nope", IMAGE], "--queue")


def test_what_a_payload_may_say(world):
    keys = {key["name"]: key for key in json.loads(world.call("task", "features", "--output", "json").text)}
    expect((keys["features.localLiveLog"]["default"], keys["image"]["required"]), (True, True))
    expect(keys["cache"]["scopes"], "docker-worker:cache:<name>")
    expect_in("features.allowPtrace", world.call("task", "features").text)
    schema = world.call("schema", "show").text
    expect(json.loads(schema)["required"], ["image", "maxRunTime"])
    with tempfile.TemporaryDirectory() as directory:
        path = world.call("schema", "upload", directory).text.strip()
        expect(os.path.relpath(path, directory), "docker-worker/v1/payload.json")
        with open(path) as file:
            expect(file.read(), schema)
        in_the_way = world.call("schema", "upload", path)
        expect(in_the_way.code, 1)
        expect_in("choose another directory", in_the_way.err)


def test_version(world):
    expect(world.call("version").text, world.call("--version").text)
    expect_in("gantry ", world.call("version").text)


def test_env_points_a_shell_at_the_server(world):
    printed = world.call("env")
    expect(printed.code, 0)
    script = printed.text + 'printf "%s|" "$GANTRY_URL" "$TASKCLUSTER_ROOT_URL" "$TASKCLUSTER_CLIENT_ID"; exec "$0" nodes --output json'
    shell = {"PATH": os.environ["PATH"], "GANTRY_DATA_DIR": "/nonexistent"}
    done = subprocess.run(["sh", "-c", script, world.gantry], capture_output=True, text=True, env=shell)
    url = world.dev.url
    expect_in(f"{url}|{url}|root|", done.stdout, done.stderr)
    expect(done.returncode, 0, done.stderr)
    expect(world.call("env", data=world.scratch / "nothing").code, 1)


def test_no_server(world):
    ended = world.call("ps", data=world.scratch / "nothing")
    expect(ended.code, 1)
    expect_in("start one with: gantry dev", ended.err)
    ended = world.call("ps", "--url", "http://127.0.0.1:1")
    expect(ended.code, 1)
    expect_in("cannot reach http://127.0.0.1:1: connection refused", ended.err)
    expect_in("start one with: gantry dev", ended.err)
    ended = world.run("--url", "http://127.0.0.1:1", IMAGE, "true")
    expect(ended.code, 125)
    expect_in("connection refused", ended.err)
    expect_in("is not a URL", world.call("ps", "--url", "nonsense").err)


def test_wrong_credentials(world):
    ended = world.call("ps", env={"TASKCLUSTER_CLIENT_ID": "root", "TASKCLUSTER_ACCESS_TOKEN": "wrong"})
    expect(ended.code, 1)
    expect_in("signature is wrong", ended.err)


def test_bash_completion(world):
    script = world.call("completion", "bash").text

    def complete(*words):
        line = f"{script}\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _gantry; echo \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        expect(done.stderr, "", words)
        return done.stdout.split()

    expect(complete("gantry", "ru"), ["run"])
    expect(complete("gantry", "task", "ca"), ["cancel"])
    expect(complete("gantry", "run", "--mem"), ["--memory"])
    expect(complete("gantry", "run", "--priority", "very-h"), ["very-high"])
    expect(complete("gantry", "ps", "--output", "j"), ["json"])
    expect(complete("gantry", "completion", "z"), ["zsh"])


def test_other_completions(world):
    for shell in ("zsh", "fish"):
        script = world.call("completion", shell)
        expect(script.code, 0)
        expect_in("very-high", script.text)
        expect_in("download", script.text)
    # The same syntax as bash's, as far as bash can check it.
    done = subprocess.run(["bash", "-n"], input=world.call("completion", "bash").out, capture_output=True)
    expect(done.stderr, b"")


def test_tasks_from_create_to_download(world):
    definition = {
        "taskQueueId": "local/default",
        "payload": {"image": IMAGE, "command": ["sh", "-c", "echo made > /made.txt; echo said"], "maxRunTime": 60,
                    "artifacts": {"public/made.txt": {"type": "file", "path": "/made.txt"}}},
        "metadata": {"name": "by hand", "description": "", "owner": "somebody@example.com", "source": "https://example.com"},
    }
    created = world.call("task", "create", "-", stdin=json.dumps(definition).encode())
    expect(created.code, 0, created.err)
    task = created.text.strip()
    log = world.call("logs", task, "--follow")
    expect(log.code, 0, log.err)
    expect_in("\nsaid\n", log.text)
    shown = world.task(task)
    expect((shown["state"], shown["runs"][0]["exit"]["code"]), ("completed", 0))
    summary = world.call("task", "show", task).text
    for part in (task, "completed", "by hand", "run 0", "claimed"):
        expect_in(part, summary)
    expect_in("state: completed", world.call("task", "show", task, "--output", "yaml").text)
    expect_in("public/made.txt", world.call("task", "artifacts", task).text)
    names = {a["name"] for a in world.call("task", "artifacts", task, "--output", "json").json()}
    expect_in("public/made.txt", names)
    here = world.directory("downloads")
    expect(world.call("task", "download", task, "public/made.txt", cwd=here).code, 0)
    expect((here / "made.txt").read_text(), "made\n")
    expect(world.call("task", "download", task, "public/made.txt", "--file", "-").text, "made\n")
    missing = world.call("task", "download", task, "public/none", cwd=here)
    expect(missing.code, 1)
    expect([p.name for p in here.iterdir()], ["made.txt"], "nothing half-written is left")
    expect_in(task, world.call("task", "list").text)
    expect_in(task, world.call("task", "list", "--state", "completed").text)
    expect(task in world.call("ps").text, False)


def test_bad_definitions(world):
    expect_in("payload.comand", world.call("task", "create", "-", stdin=json.dumps({
        "taskQueueId": "local/default", "payload": {"image": IMAGE, "comand": ["true"], "maxRunTime": 60},
        "metadata": {"name": "", "description": "", "owner": "", "source": "https://example.com"}}).encode()).err)
    broken = world.call("task", "create", "-", stdin=b"{")
    expect(broken.code, 1)
    expect_in("standard input", broken.err)
    expect_in("there is no file", world.call("task", "create", "nowhere.json").err)


def test_unknown_tasks(world):
    unknown = "fN1SbArXTPSVFNUvaOlinQ"
    for words in (["task", "show", unknown], ["logs", unknown], ["task", "cancel", unknown], ["task", "artifacts", unknown]):
        ended = world.call(*words)
        expect(ended.code, 1, words)
        expect_in(unknown, ended.err, words)
    expect(world.call("task", "show", "nonsense").code, 2)


def test_nodes(world):
    (node,) = world.call("nodes", "--output", "json").json()
    expect(node["taskQueueId"], "local/default")
    expect_in("local/default", world.call("nodes").text)
    expect_in("taskQueueId: local/default", world.call("nodes", "--output", "yaml").text)


def on_terminal(world, *words, **env):
    """What a terminal gets to see of it."""
    script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    done = subprocess.run(["python3", "-c", script, world.gantry, *words], capture_output=True, stdin=subprocess.DEVNULL,
                          env={**world.environment(), "TERM": "xterm", **env}, timeout=60)
    return done.stdout.decode()


def test_colour_and_progress_are_for_terminals(world):
    task = world.run("--detach", IMAGE, "true").text.strip()
    world.call("logs", "--follow", task)
    expect_in("\x1b[", on_terminal(world, "task", "show", task))
    expect("\x1b[" in on_terminal(world, "task", "show", task, NO_COLOR="1"), False)
    expect("\x1b" in world.call("task", "show", task).text, False)
    expect_in("| pending", on_terminal(world, "run", IMAGE, "echo", "seen"))
    expect("\x1b" in world.run(IMAGE, "true").err, False)
