#!/usr/bin/env python3
"""What surrounds a task's container: side containers, superseding, system calls; every way in which a task can fail before
it starts; the examples, as their READMEs say."""

import http.server
import threading

from agent_world import *


def ended(dev, task, state):
    got = dev.wait_resolved(task)
    expect_equal(got["state"], state, dev.log(task).decode(errors="replace"))
    return got


def side_file(directory, **containers):
    path = os.path.join(directory, "side.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(containers, file)
    return path


def sides(dev):
    return [c for c in dev.containers() if "gantry.side-of" in c["Labels"]]


# Side containers


def test_a_side_container_is_found_under_its_name_and_goes_with_its_task():
    web = {"image": IMAGE, "alias": "intranet", "scope": "project:intranet",
           "command": ["sh", "-c", "mkdir /www; echo from beside > /www/index.html; exec httpd -f -p 8080 -h /www"]}
    with tempfile.TemporaryDirectory() as directory:
        with Dev(arguments=["--side-containers", side_file(directory, web=web)]) as dev:
            ask = "i=0; until wget -q -O - http://intranet:8080/; do i=$((i+1)); test $i -lt 50 || exit 9; usleep 100000; done"
            task = dev.shell(ask, sideContainers=["web"], scopes=["project:intranet"])
            ended(dev, task, "completed")
            expect_equal(dev.output(task), b"from beside\n")
            # The proxy knows the task by the address that it shares.
            proxy = "wget -q -O - $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID"
            task = dev.shell(f"{ask}; {proxy}", sideContainers=["web"], features={"taskclusterProxy": True},
                             scopes=["project:intranet", "queue:get-task:*"])
            ended(dev, task, "completed")
            expect(b"from beside" in dev.output(task) and b'"taskQueueId"' in dev.output(task), dev.output(task))
            refused = dev.shell("true", sideContainers=["web"], scopes=["docker-worker:*"])
            ended(dev, refused, "failed")
            expect(b"the task needs the scope project:intranet" in dev.log(refused), dev.log(refused))
            dev.expect_nothing_left()


def test_a_task_gets_the_socket_that_its_side_container_makes():
    # syslogd makes its socket where /dev/log leads, once it is ready: after a while here.
    script = "ln -s /run/gantry/log /dev/log; sleep 1; exec syslogd -n -O /dev/stdout"
    logs = {"image": IMAGE, "socket": "/run/log", "command": ["sh", "-c", script]}
    with tempfile.TemporaryDirectory() as directory:
        with Dev(arguments=["--side-containers", side_file(directory, logs=logs)]) as dev:
            task = dev.shell("test -S /run/log && ln -s /run/log /dev/log && logger word from the task; ls /run; sleep 60",
                             sideContainers=["logs"], scopes=["docker-worker:side-container:logs"])
            dev.wait_running(task)
            beside = sides(dev)[0]["Id"]

            def heard():
                return b"word from the task" in subprocess.run(["docker", "logs", beside], capture_output=True).stdout
            wait_for(heard, 10, "the side container has heard the task")
            expect(dev.output(task).strip().endswith(b"log"), "and nothing else of the folder")
            dev.cancel(task)
            dev.expect_nothing_left()
            wait_for(lambda: not os.listdir(os.path.join(dev.directory, "agent/side")), 5, "no folder is left")


def test_a_side_container_goes_on_over_a_restart_of_the_agent_and_is_never_left():
    web = {"image": IMAGE, "alias": "intranet", "scope": "x", "command": ["sleep", "600"]}
    with tempfile.TemporaryDirectory() as directory:
        with Dev(arguments=["--side-containers", side_file(directory, web=web)]) as dev:
            task = dev.shell("until test -e /go; do sleep 0.1; done", sideContainers=["web"], scopes=["x"])
            container = dev.wait_running(task)
            beside = [c["Id"] for c in sides(dev)]
            expect_equal(len(beside), 1)
            dev.kill()
            dev.start()
            wait_for(lambda: dev.state(task) == "running", 20, "it is taken up")
            subprocess.run(["docker", "exec", container, "touch", "/go"], check=True)
            ended(dev, task, "completed")
            dev.expect_nothing_left()
            # Killed, and the task cancelled meanwhile: what stood beside it goes, too.
            task = dev.shell("sleep 600", sideContainers=["web"], scopes=["x"])
            dev.wait_running(task)
            dev.kill()
            subprocess.run(["docker", "rm", "--force", dev.engine.of_task(task)[0]["Id"]], check=True, capture_output=True)
            dev.start()
            dev.cancel(task)
            dev.expect_nothing_left(60)


# dind


def test_dind_is_refused_where_it_is_not_set_up_and_says_what_a_bad_image_said():
    privileged = ["docker-worker:capability:privileged"]
    with Dev(arguments=["--dind-image", IMAGE]) as dev:
        task = dev.create("true", features={"dind": True}, scopes=privileged)
        ended(dev, task, "failed")
        expect(b"in docker privileged mode; this agent does not allow it" in dev.log(task), dev.log(task))
    with Dev(arguments=["--dind-image", IMAGE, "--allow-privileged"]) as dev:
        task = dev.create("true", features={"dind": True})
        ended(dev, task, "failed")
        expect(b"the task needs the scope docker-worker:capability:privileged" in dev.log(task), dev.log(task))
        # No dockerd is in this image; and some machines start no privileged containers at all.
        task = dev.create("true", features={"dind": True}, scopes=privileged)
        ended(dev, task, "failed")
        expect(b'side container "dind": ' in dev.log(task), dev.log(task))
        dev.expect_nothing_left()


# disableSeccomp


def test_system_calls_are_filtered_unless_the_task_may_make_all():
    scope = "docker-worker:capability:disableSeccomp"
    wanted = {"disableSeccomp": True}
    with Dev() as dev:
        refused = dev.create("true", capabilities=wanted)
        ended(dev, refused, "failed")
        expect(f"the task needs the scope {scope}".encode() in dev.log(refused), dev.log(refused))
        task = dev.shell("until test -e /go; do sleep 0.1; done", capabilities=wanted, scopes=[scope])
        container = dev.wait_running(task)
        host = dev.engine.inspect(container)["HostConfig"]
        expect_equal(sorted(host["SecurityOpt"]), ["no-new-privileges", "seccomp=unconfined"])
        subprocess.run(["docker", "exec", container, "touch", "/go"], check=True)
        ended(dev, task, "completed")


# supersederUrl


class Superseder(http.server.ThreadingHTTPServer):
    """Of all tasks that it is told of, in their order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), SupersederHandler)
        self.tasks = []
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/of/project"


class SupersederHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = json.dumps({"supersedes": self.server.tasks}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_only_the_newest_of_superseded_tasks_runs():
    service = Superseder()
    with Dev(slots=1, arguments=["--superseder-anywhere"]) as dev:
        busy = dev.shell("until test -e /go; do sleep 0.1; done")
        container = dev.wait_running(busy)
        scopes = ["queue:get-task:*", "queue:status:*"]
        service.tasks = [make_slugid() for _ in range(4)]
        for task in service.tasks:
            dev.shell("echo run", task=task, supersederUrl=service.url(), scopes=scopes)
        bystander = dev.shell("echo run")
        subprocess.run(["docker", "exec", container, "touch", "/go"], check=True)
        newest = service.tasks[-1]
        ended(dev, newest, "completed")
        for task in service.tasks[:-1]:
            got = ended(dev, task, "exception")
            expect_equal(run_of(got, 0)["reason"], "superseded")
            by = json.loads(dev.artifact(task, "public/superseded-by.json").read())
            expect(by["taskId"] in service.tasks[service.tasks.index(task) + 1:], by)
        ended(dev, bystander, "completed")
        expect(service.asked[0].startswith("/of/project?taskId="), service.asked)
        dev.expect_nothing_left()
    service.shutdown()


def test_a_superseder_may_not_be_this_machine():
    service = Superseder()
    with Dev() as dev:
        for url in (service.url(), service.url().replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest"):
            task = dev.create("true", supersederUrl=url)
            ended(dev, task, "completed")
            expect(b"is an address of this machine, or a link-local one; the task is run as if it had none" in
                   dev.log(task), dev.log(task))
    expect_equal(service.asked, [], "nobody has asked")
    service.shutdown()


# Whatever keeps a task from starting


def test_every_failure_before_the_start_leaves_a_log_that_says_why():
    device = "docker-worker:capability:device:"
    image = {"type": "task-image", "taskId": make_slugid(), "path": "public/no.tar"}
    refusals = [
        (dict(features={"dind": True}), "this worker has no image for features.dind"),
        (dict(features={"allowPtrace": True}), "Insufficient scopes to use the allowPtrace feature"),
        (dict(features={"chainOfTrust": True}), "this worker has no key to sign a chain of trust with"),
        (dict(encryptedEnv=["aGVsbG8="]), "this worker has no key to read payload.encryptedEnv with"),
        (dict(sideContainers=["vpn"]), 'this worker has no side container "vpn"'),
        (dict(capabilities={"privileged": True}), "Cannot run task using docker privileged mode"),
        (dict(capabilities={"disableSeccomp": True}), "Insufficient scopes to run without a filter of system calls"),
        (dict(capabilities={"devices": {"kvm": True}}), "Insufficient scopes to attach devices"),
        (dict(capabilities={"devices": {"cpu": True}}, scopes=[device + "cpu"]), "device cpu is not on this machine"),
        (dict(cache={"c": "/c"}), 'Insufficient scopes to attach cache "c"'),
        (dict(image="gantry/no-such-image:1"), 'Pulling docker image "gantry/no-such-image:1" has failed'),
        (dict(image=image), "has failed"),
        (dict(image={"type": "indexed-image", "namespace": "no.such", "path": "public/x.tar"}), "has failed"),
        (dict(image={"type": "task-image", "taskId": image["taskId"], "path": "private/x.tar"}), "has failed"),
        (dict(cache={"c": "/bin/busybox/c"}, scopes=["docker-worker:cache:c"]),
         "Failure to properly start execution environment"),
        (dict(resources={"disk": "1g"}), "Failure to properly start execution environment"),
    ]
    with Dev(slots=8) as dev:
        tasks = []
        for payload, words in refusals:
            tasks.append((dev.create("true", retries=0, **payload), words))
        for task, words in tasks:
            got = dev.wait_resolved(task)
            if "disk" in json.dumps(dev.get(f"/api/queue/v1/task/{task}")["payload"]) and got["state"] == "completed":
                continue  # an engine that can limit the disk
            log = dev.log(task).decode(errors="replace")
            # What an engine calls an error of its own may be another node's chance: the run is handed back.
            expect(got["state"] in ("failed", "exception"), log)
            errors = [line for line in log.splitlines() if line.startswith("[taskcluster:error]")]
            expect(any(words in line for line in errors), f"{words!r} in {log}")
            expect("=== Task Finished ===" not in log, log)
        dev.expect_nothing_left()


# Examples


def example(dev, name):
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(GANTRY, os.path.join(folder, "gantry"))
        environment = dict(os.environ, GANTRY_DATA_DIR=dev.directory, PATH=folder + ":" + os.environ["PATH"])
        done = subprocess.run([os.path.join(ROOT, f"examples/{name}/run.sh")], env=environment, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def shown(name, prompt):
    """What the example's README shows behind a command."""
    with open(os.path.join(ROOT, f"examples/{name}/README.md")) as file:
        return re.search(re.escape(f"$ {prompt}\n") + r"(.*?)```", file.read(), re.DOTALL).group(1)


def test_examples_print_what_their_readmes_show():
    with Dev() as dev:
        for name in ("artifacts", "dind"):
            expect_equal(example(dev, name), shown(name, f"examples/{name}/run.sh"), name)


if __name__ == "__main__":
    run_tests(globals())
