"""`gantry run`: output, exit codes, artifacts, cancelling, and a server that goes away meanwhile."""

import hashlib
import signal
import time

from world import IMAGE, expect, expect_in, wait_for


def test_output_is_the_tasks_alone(world):
    ended = world.run(IMAGE, "echo", "hello")
    expect((ended.code, ended.out), (0, b"hello\n"), ended.err)
    expect_in(": pending\n", ended.err)
    expect_in(": running\n", ended.err)
    expect_in(": completed in ", ended.err)


def test_output_without_a_line_end(world):
    expect(world.run(IMAGE, "printf", "no line end").out, b"no line end")
    expect(world.run(IMAGE, "true").out, b"")
    expect(world.sh("printf 'a\\n\\n'").out, b"a\n\n")
    expect(world.sh("printf '[task'; printf 'cluste\\n'").out, b"[taskcluste\n")


def test_stdout_and_stderr_of_the_task(world):
    ended = world.sh("echo to-stdout; echo to-stderr >&2")
    expect(sorted(ended.text.split()), ["to-stderr", "to-stdout"])


def test_large_output_arrives_whole(world):
    lines = 200_000
    expected = "".join(f"{n}\n" for n in range(1, lines + 1)).encode()
    ended = world.sh(f"seq {lines}")
    expect((ended.code, len(ended.out)), (0, len(expected)), ended.err)
    expect(hashlib.sha256(ended.out).hexdigest(), hashlib.sha256(expected).hexdigest())


def test_exit_codes(world):
    for code in (0, 1, 3, 42, 255):
        expect(world.sh(f"exit {code}").code, code)
    killed = world.sh("kill -KILL $$")
    expect(killed.code, 137, killed.err)


def test_command_line_goes_through_untouched(world):
    ended = world.run(IMAGE, "sh", "-c", 'for w in "$@"; do echo "<$w>"; done', "sh", "a b", "--memory", "$HOME", "")
    expect(ended.text, "<a b>\n<--memory>\n<$HOME>\n<>\n")
    expect(world.run(IMAGE, "--", "echo", "--", "x").text, "-- x\n")


def test_environment(world):
    ended = world.sh('echo "$A|$B|$TASK_ID"', "--env", "A=one=1", "--env", "B=", "--env", "A=two words")
    values = ended.text.strip().split("|")
    expect(values[:2], ["two words", ""])
    expect_in(values[2], ended.err)


def test_output_comes_while_the_task_runs(world):
    client = world.begin_sh("echo first; read line < /dev/zero; sleep 60")
    wait_for("the first line", lambda: client.out() == b"first\n")
    expect(client.process.poll(), None)
    client.interrupt()
    expect(client.end().code, 130)


def test_partial_line_comes_at_once(world):
    client = world.begin_sh("printf 'enter: '; sleep 60")
    wait_for("the unfinished line", lambda: client.out() == b"enter: ")
    client.interrupt()
    expect(client.end().code, 130)


def test_time_limit(world):
    ended = world.sh("echo begun; sleep 60", "--timeout", "2s")
    expect((ended.code, ended.out), (124, b"begun\n"), ended.err)
    expect_in("took too long", ended.err)


def test_memory_limit(world):
    ended = world.sh("head -c 100000000 /dev/zero | tail | wc -c; exit 7", "--memory", "12m")
    # The kernel kills the largest process of the container; which one that is decides on the code.
    expect_in(ended.code, (7, 137), ended.err)
    expect(world.sh("exec tail /dev/zero", "--memory", "12m").code, 137)


def test_missing_image(world):
    ended = world.run("gantry/none:1", "true")
    expect(ended.code, 125, ended.err)
    expect_in("gantry/none:1", ended.err)
    expect(world.run("UPPER CASE", "true").code, 125)


def test_missing_program(world):
    ended = world.run(IMAGE, "no-such-program")
    expect_in(ended.code, (125, 127), ended.err)
    expect_in("no-such-program", ended.err + ended.text)


def test_artifacts_come_back(world):
    here = world.directory("artifacts")
    ended = world.sh("mkdir -p /d/e; echo one > /d/1; echo two > /d/e/2; head -c 3000000 /dev/urandom > /big; sha256sum /big",
                     "--artifact", "big.bin=/big", "--artifact", "public/copy=/d/1", "--artifact-dir", "tree=/d", cwd=here)
    expect(ended.code, 0, ended.err)
    expect(hashlib.sha256((here / "big.bin").read_bytes()).hexdigest(), ended.text.split()[0])
    expect((here / "public/copy").read_text(), "one\n")
    expect((here / "tree/1").read_text() + (here / "tree/e/2").read_text(), "one\ntwo\n")
    other = world.directory("other")
    expect(world.sh("echo x > /x; exit 5", "--artifact", "x=/x", "--download-dir", str(other)).code, 5)
    expect((other / "x").read_text(), "x\n")


def test_missing_artifact(world):
    here = world.directory("artifacts")
    ended = world.sh("echo fine", "--artifact", "gone.txt=/nowhere", cwd=here)
    expect(ended.code, 125, ended.err)
    expect_in("gone.txt", ended.err)
    expect(list(here.iterdir()), [])


def test_detach(world):
    ended = world.sh("echo later", "--detach")
    expect(ended.code, 0, ended.err)
    task = ended.text.strip()
    expect(len(task), 22)
    expect_in("\nlater\n", world.call("logs", "--follow", task).text)


def test_interrupt_cancels(world):
    client = world.begin_sh("echo up; sleep 60")
    wait_for("the container runs", lambda: client.out() == b"up\n")
    task = client.task_id()
    expect(len(world.containers_of(task)), 1)
    client.interrupt()
    ended = client.end()
    expect(ended.code, 130, ended.err)
    expect(world.task(task)["runs"][-1]["reason"], "canceled")
    wait_for("the container is gone", lambda: not world.containers_of(task))


def test_interrupt_works_where_the_shell_ignores_it(world):
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    client = world.begin_sh("echo up; sleep 60", preexec_fn=ignore)
    wait_for("the container runs", lambda: client.out() == b"up\n")
    client.interrupt()
    expect(client.end().code, 130)


def test_interrupt_while_pending(world):
    client = world.begin("run", "--queue", "local/nobody", IMAGE, "true")
    task = client.task_id()
    client.interrupt()
    expect(client.end().code, 130)
    expect(world.task(task)["state"], "exception")


def test_second_interrupt_leaves_at_once(world):
    other = world.other_dev()
    other.start()
    client = world.begin_sh("echo up; sleep 60", data=other.data)
    wait_for("the container runs", lambda: client.out() == b"up\n")
    other.process.send_signal(signal.SIGSTOP)  # nobody answers the cancellation
    try:
        client.interrupt()
        wait_for("the first interrupt is seen", lambda: "cancelling" in client.err())
        client.interrupt()
        expect(client.end(seconds=10).code, 130)
    finally:
        other.process.send_signal(signal.SIGCONT)
    expect(other.stop(), 0)


def test_interrupt_with_a_dead_server_tells_it_once(world):
    other = world.other_dev()
    other.start()
    client = world.begin_sh("echo up; sleep 60", data=other.data)
    wait_for("the container runs", lambda: client.out() == b"up\n")
    other.kill()
    client.interrupt()
    ended = client.end(seconds=30)
    expect(ended.code, 125, ended.err)
    said = [line for line in ended.err.splitlines() if "interrupt ended" in line or " error " in line]
    expect(said, [], ended.err)
    expect(ended.err.count("start one with: gantry dev"), 1, ended.err)


def test_pending_is_explained(world):
    client = world.begin("run", "--queue", "local/nobody", IMAGE, "true")
    wait_for("the explanation", lambda: "no node takes tasks from local/nobody" in client.err())
    expect(client.task_id() in world.call("ps").text, True)
    client.interrupt()
    expect(client.end().code, 130)


def test_cancelled_by_somebody_else(world):
    client = world.begin_sh("echo up; sleep 60")
    wait_for("the container runs", lambda: client.out() == b"up\n")
    expect(world.call("task", "cancel", client.task_id()).code, 0)
    expect(client.end().code, 130)


def test_several_at_once(world):
    clients = [world.begin_sh(f"sleep 1; echo {n}; exit {n}") for n in range(6)]
    expect([client.end().code for client in clients], list(range(6)))
    expect([client.out() for client in clients], [f"{n}\n".encode() for n in range(6)])


def test_server_killed_and_started_while_following(world):
    other = world.other_dev()
    other.start()
    script = "n=0; while [ $n -lt 60 ]; do echo line $n; n=$((n+1)); sleep 0.1; done; exit 9"
    client = world.begin_sh(script, data=other.data)
    wait_for("some lines", lambda: client.out().count(b"\n") >= 5)
    other.kill()
    wait_for("the client has noticed", lambda: "trying again" in client.err())
    other.start()
    ended = client.end()
    expect(ended.text, "".join(f"line {n}\n" for n in range(60)), ended.err)
    expect(ended.code, 9, ended.err)
    expect_in("the server is back", ended.err)
    expect(other.stop(), 0)


def test_server_stopped_and_started_while_following(world):
    other = world.other_dev()
    other.start()
    client = world.begin_sh("echo before; sleep 4; echo after", data=other.data)
    wait_for("the first line", lambda: client.out() == b"before\n")
    expect(other.stop(), 0)
    started = time.monotonic()
    other.start()
    ended = client.end()
    expect((ended.code, ended.text), (0, "before\nafter\n"), ended.err)
    expect(time.monotonic() - started < 30, True)
    expect(other.stop(), 0)


def test_closed_stdout_ends_it(world):
    import subprocess
    line = f'"$0" run {IMAGE} yes | head -n 1'
    done = subprocess.run(["bash", "-c", line, world.gantry], capture_output=True, env=world.environment(), timeout=30)
    expect(done.stdout, b"y\n")
    (task,) = world.call("task", "list", "--state", "running", "--output", "json").json()
    world.call("task", "cancel", task["status"]["taskId"])
