"""`gantry dev`: what it makes, what it refuses, and how it ends."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import urllib.request

from world import IMAGE, Dev, expect, expect_in, wait_for


def refused(world, *options, data=None, env=None):
    data = data or world.directory("refused") / "data"
    done = subprocess.run([world.gantry, "dev", "--data-dir", data, *options], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **(env or {})})
    expect((done.returncode, done.stdout), (1, ""), done.stderr)
    expect_in("gantry: ", done.stderr)
    expect("\n        " in done.stderr, True, f"no hint in {done.stderr!r}")
    return done.stderr


def test_data_directory_is_private(world):
    data = world.dev.data
    expect(data.stat().st_mode & 0o777, 0o700)
    expect((data / "credentials.json").stat().st_mode & 0o777, 0o600)
    credentials = json.loads((data / "credentials.json").read_text())
    expect(credentials["clientId"], "root")
    expect(len(credentials["accessToken"]) >= 43, True)
    expect((data / "endpoint").read_text().strip(), world.dev.url)
    expect_in("data.log", world.dev.log.name)
    expect(credentials["accessToken"] in world.dev.log.read_text(), False, "the token is never printed")


def test_it_answers(world):
    with urllib.request.urlopen(world.dev.url + "/api/queue/v1/ping") as answer:
        expect(json.load(answer)["alive"], True)


def test_port_in_use(world):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        expect_in("cannot listen on", refused(world, "--listen", f"127.0.0.1:{other.getsockname()[1]}"))


def test_data_directory_in_use(world):
    expect_in("another gantry", refused(world, "--listen", "127.0.0.1:0", data=world.dev.data))


def test_data_directory_that_cannot_be_used(world):
    blocked = world.directory("blocked") / "file"
    blocked.write_text("")
    expect_in(str(blocked), refused(world, "--listen", "127.0.0.1:0", data=blocked))
    expect_in(str(blocked), refused(world, "--listen", "127.0.0.1:0", data=blocked / "below"))


def test_newer_database(world):
    data = world.directory("newer") / "data"
    dev = Dev(world.gantry, data)
    dev.start()
    expect(dev.stop(), 0)
    with sqlite3.connect(data / "gantry.db") as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {version + 1000}")
    expect_in("newer gantry", refused(world, "--listen", "127.0.0.1:0", data=data))


def test_open_listener_needs_insecure(world):
    expect_in("--insecure", refused(world, "--listen", "0.0.0.0:0"))
    dev = world.other_dev("--insecure", listen="0.0.0.0:0")
    dev.start()
    expect_in("http://127.0.0.1:", dev.url)
    expect(world.sh("echo open", data=dev.data).text, "open\n")
    expect(dev.stop(), 0)


def test_bad_addresses(world):
    for address in ("nonsense", "127.0.0.1", "127.0.0.1:99999"):
        refused(world, "--listen", address)


def test_engine_that_does_not_answer(world):
    dev = world.other_dev("--engine", "unix:///nonexistent/docker.sock")
    dev.start()
    wait_for("the warning", lambda: "does not answer" in dev.log.read_text())
    expect(world.call("ps", data=dev.data).code, 0)
    expect(dev.stop(), 0)


def test_docker_host_is_respected(world):
    dev = world.other_dev(env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    expect_in("unix:///nonexistent/docker.sock", dev.start())
    expect(dev.stop(), 0)


def test_stops_on_signals(world):
    for number in (signal.SIGTERM, signal.SIGINT):
        dev = world.other_dev()
        dev.start()
        expect(dev.stop(number), 0, number)
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    data = world.directory("background") / "data"
    with open(data.parent / "log", "wb") as log:
        process = subprocess.Popen([world.gantry, "dev", "--data-dir", data, "--listen", "127.0.0.1:0"], stdout=log,
                                   stderr=log, preexec_fn=ignore)
    wait_for("it listens", lambda: b"Ctrl-C" in (data.parent / "log").read_bytes())
    process.send_signal(signal.SIGINT)
    expect(process.wait(timeout=30), 0)


def test_survives_kill(world):
    dev = world.other_dev()
    dev.start()
    task = world.sh("echo kept", "--detach", data=dev.data).text.strip()
    expect_in("kept\n", world.call("logs", "--follow", task, data=dev.data).text)
    for _ in range(3):
        dev.kill()
        dev.start()
        expect_in("kept\n", world.call("logs", task, data=dev.data).text)
    expect(dev.stop(), 0)


def test_hand_back_on_stop(world):
    dev = world.other_dev("--on-stop", "hand-back")
    dev.start()
    client = world.begin_sh("echo up; sleep 60", data=dev.data)
    wait_for("the container runs", lambda: b"up\n" in client.out())
    task = client.task_id()
    expect(dev.stop(), 0)
    expect(world.containers_of(task), [])
    dev.start()
    wait_for("it runs again", lambda: client.out().count(b"up\n") == 2)
    expect_in("tried again", client.err())
    client.interrupt()
    expect(client.end().code, 130)
    expect(dev.stop(), 0)


def test_left_containers_are_taken_up(world):
    dev = world.other_dev()
    dev.start()
    client = world.begin_sh("echo up; sleep 5; exit 4", data=dev.data)
    wait_for("the container runs", lambda: client.out() == b"up\n")
    (container,) = world.containers_of(client.task_id())
    expect(dev.stop(), 0)
    expect(world.containers_of(client.task_id()), [container])
    dev.start()
    ended = client.end()
    expect((ended.code, ended.out), (4, b"up\n"), ended.err)
    expect(dev.stop(), 0)
